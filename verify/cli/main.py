"""The command line: ``softproof verify | gate | compare | derive | claims | radius | plot | ...``.

Exit status: 0 all passed, 1 failures found, 2 usage, 3 an error of softproof itself (of ``gate``:
refused, and 4 that error).
"""

from __future__ import annotations

import sys
import traceback
from importlib.metadata import version
from typing import Annotated

import typer

from .audit import audit_app
from .bench import bench_app
from .gate import gate_app
from .plot import plot_app
from .power import power_app
from .theory import theory_app
from .verified import verified_app
from .verify import verify_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Prove softmax code right: verify kernels, derive gradients, bound steps, plot errors.",
)
app.add_typer(verify_app)
app.add_typer(gate_app)
app.add_typer(verified_app)
app.add_typer(power_app)
app.add_typer(audit_app)
app.add_typer(theory_app)
app.add_typer(plot_app, name="plot")
app.add_typer(bench_app, name="bench")


def main() -> None:
    """Entry point of the ``softproof`` command; an error of our own exits with status 3."""
    try:
        app()
    except Exception:  # 1 would say that a subject failed
        traceback.print_exc()
        sys.exit(3)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"softproof {version('softproof')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass
