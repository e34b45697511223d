"""Which run `--resume` means."""

from dataclasses import replace
from pathlib import Path

from allmlp.data import source_stem
from allmlp.errors import AllmlpError, listing
from allmlp.runs.config import Config
from allmlp.runs.config_tree import build_config, flatten, read_yaml
from allmlp.runs.directory import RunDirectory

__all__ = ["AUTO", "find_run"]

AUTO = "auto"


def find_run(resume: str | Path | None, config: Config) -> Path | None:
    """The folder of the run to go on with, or None to start one.

    Args:
        resume: a run directory; `"auto"` for the folder `config.run.dir` or, if that is not set,
            the newest run under runs/ of the same configuration; None for a new run.
        config: of the run that is wanted.

    Raises:
        AllmlpError: with `"auto"`, the folder holds a run of another configuration, or no run.
    """
    if resume is None:
        return None
    if str(resume) != AUTO:
        return Path(resume)
    if config.run.dir is None:
        stem = f"{source_stem(config.data.source)}-{config.model.name}"
        same = [p for p in _numbered(stem) if _same(RunDirectory(p), config)]
        return same[-1] if same else None
    directory = RunDirectory(Path(config.run.dir))
    if not directory.path.exists():
        return None
    if not directory.config.is_file():
        if directory.path.is_dir() and not any(_contents(directory.path)):
            return directory.path  # killed while it was made
        raise AllmlpError(
            f"{directory.path} exists and is no run; choose another folder with --run"
        )
    if different := _differences(directory, config):
        raise AllmlpError(
            f"{directory.path} is a run of another configuration ({listing(different)}); "
            "give the same one, or another folder with --run"
        )
    return directory.path


def _numbered(stem: str) -> list[Path]:
    """Runs of this name, oldest first."""
    runs = [p for p in Path("runs").glob(f"{stem}-*") if (p / "config.yaml").is_file()]
    numbers = {p: p.name.removeprefix(f"{stem}-") for p in runs}
    return sorted((p for p in runs if numbers[p].isdecimal()), key=lambda p: int(numbers[p]))


def _same(directory: RunDirectory, config: Config) -> bool:
    try:
        return not _differences(directory, config)
    except AllmlpError:  # of another version, or damaged: it is another run
        return False


def _differences(directory: RunDirectory, config: Config) -> list[str]:
    """Fields in which a run's configuration differs, but for its folder."""
    theirs = flatten(build_config(read_yaml(directory.config)))
    ours = flatten(replace(config, run=replace(config.run, dir=theirs["run.dir"])))
    return [path for path in ours if ours[path] != theirs[path]]


def _contents(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if not (p.name.startswith(".") and p.suffix == ".tmp")]
