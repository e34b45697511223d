"""A PostgreSQL server that lives as long as the tests."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Postgres:
    """A server of our own, reached by a socket in its folder: no port, no password, no fsync."""

    binaries: Path
    folder: Path
    account: dict[str, Any]

    def database(self, name: str) -> str:
        """The storage URL of a new, empty database."""
        import psycopg

        own = f"host={self.folder} user=allmlp dbname=postgres"
        with psycopg.connect(own, autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        return f"postgresql+psycopg://allmlp@/{name}?host={self.folder}"

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        self._run("pg_ctl", "-w", "-l", f"{self.folder}/log", "-o", options, "start")

    def stop(self) -> None:
        """As a crash would: nobody is waited for."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def make(self) -> None:
        self._run("initdb", "-U", "allmlp", "-E", "UTF8", "--locale=C", "-A", "trust", "--no-sync")

    def _run(self, name: str, *arguments: str) -> None:
        # output into a file: the server would inherit a pipe and keep it open
        with (self.folder / "output").open("ab") as output:
            done = subprocess.run(
                [self.binaries / name, *arguments],
                env={**os.environ, "PGDATA": f"{self.folder}/data", "TZ": "UTC"},
                cwd=self.folder,
                stdout=output,
                stderr=output,
                check=False,
                **self.account,
            )
        assert done.returncode == 0, (self.folder / "output").read_text()


def _binaries() -> Path:
    """Where initdb is; Debian keeps it off the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    for path in sorted(versions, key=lambda p: -float(p.parts[-3])):
        return path.parent
    pytest.skip("no PostgreSQL: initdb is not installed (Debian: apt-get install postgresql)")


def _account() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: somebody else's name, for subprocess."""
    import pwd

    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            own = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": own.pw_uid, "group": own.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("optuna", reason="Optuna, of the extra sweep, is not installed")
    pytest.importorskip("psycopg", reason="psycopg, of the extra sweep, is not installed")
    binaries, account = _binaries(), _account()
    # not in pytest's own folder: its path is too long for a socket, and for us alone to enter
    with tempfile.TemporaryDirectory(prefix="allmlp-pg-") as name:
        folder = Path(name)
        if account:
            os.chown(folder, account["user"], account["group"])
        server = Postgres(binaries, folder, account)
        server.make()
        server.start()
        yield server
        server.stop()
