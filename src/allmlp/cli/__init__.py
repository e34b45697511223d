"""The command line: one file per command. They parse, call and print; nothing here needs torch."""

import errno
import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError

from allmlp.cli.bench import bench
from allmlp.cli.compare import compare
from allmlp.cli.convert import convert
from allmlp.cli.data import app as data
from allmlp.cli.dotted import rewrite_dotted
from allmlp.cli.eval import evaluate
from allmlp.cli.explain import explain
from allmlp.cli.export import export
from allmlp.cli.info import info
from allmlp.cli.kan import app as kan
from allmlp.cli.models import models
from allmlp.cli.predict import predict
from allmlp.cli.probe import probe
from allmlp.cli.report import report
from allmlp.cli.scale import app as scale
from allmlp.cli.theory import app as theory
from allmlp.cli.train import list_settings, train
from allmlp.errors import AllmlpError, printable

__all__ = ["app", "main"]

app = App(
    name="allmlp",
    help="All-MLP networks, correct, fast and explainable.",
    suppress_keyboard_interrupt=False,
)
app.command(train, help_epilogue=list_settings())
app.command(evaluate, name="eval")
app.command(predict)
app.command(report)
app.command(compare)
app.command(data)
app.command(probe)
app.command(explain)
app.command(models)
app.command(info)
app.command(convert)
app.command(bench)
app.command(export)
app.command(theory)
app.command(scale)
app.command(kan)


_REMEDIES = {
    errno.ENOSPC: "free some space, or choose another place",
    errno.ENOENT: "make its folder first, or choose another place",
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.EISDIR: "name a file, not a folder",
    errno.ENOTDIR: "name a folder, or choose another place",
    errno.EEXIST: "remove it, or choose another place",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit.

    0 after success, 1 after an error the user can mend (one line on stderr), 2 after a command line
    that cannot be read, 130 after Ctrl-C, 143 after SIGTERM. A traceback is a bug of ours.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if empty := [t for t in tokens if re.fullmatch(r"(--[\w.-]+=)?", t)]:
        _fail(f"an argument is empty ({empty[0] or repr('')}); give it a value or leave it out", 2)
    try:
        app(
            rewrite_dotted(tokens),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as e:
        _fail(f"{e}  See allmlp --help", 2)
    except AllmlpError as e:
        _fail(str(e), 1)
    except KeyboardInterrupt as e:
        number = getattr(e, "number", signal.SIGINT)  # of training's own kind
        _fail(f"interrupted; {e}" if str(e) else "interrupted", 128 + number)
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as e:
        where = f" ({_place(e.filename)})" if e.filename else ""
        remedy = _REMEDIES.get(e.errno or 0, "choose another place")
        _fail(f"{e.strerror or e}{where}; {remedy}", 1)


def _place(path: object) -> str:
    """What the user named: files are written beside their place and renamed (`files`)."""
    folder, name = os.path.split(os.fspath(path) if isinstance(path, os.PathLike) else str(path))
    return os.path.join(folder, re.sub(r"^\.(.+)\.\d+\.tmp$", r"\1", name))


def _fail(message: str, code: int) -> NoReturn:
    print(f"allmlp: {printable(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(code)
