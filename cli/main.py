"""`kernelwright`: the commands, and the exit code of every ending.

Exit codes: 0 done, 1 the candidate failed, 2 the user's mistake, 3 infrastructure, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from cli import build, dataset, doctor, judge, kernels, optimize, runs, service, sim, tasks
from cli.output import emit_json, progress, set_up_logging
from cli.schemas import ErrorReport
from simgpu.errors import SimgpuError
from tasks.errors import CandidateError, InfraError, UserError

app = typer.Typer(
    name="kernelwright",
    help="From a PyTorch op to a verified, faster GPU kernel. Runs whole without a GPU.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    *, verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show log records on standard error.")] = False
) -> None:
    set_up_logging(verbose=verbose)


app.command("optimize")(optimize.optimize)
app.command("verify")(judge.verify)
app.command("bench")(judge.bench)
app.command("build")(build.build)
app.command("serve")(service.serve)
app.command("worker")(service.worker)
app.command("doctor")(doctor.doctor)
app.add_typer(sim.app, name="sim")
app.add_typer(tasks.app, name="tasks")
app.add_typer(runs.app, name="runs")
app.add_typer(kernels.app, name="kernels")
app.add_typer(dataset.app, name="dataset")
app.add_typer(service.db, name="db")


def main() -> None:
    """Run the command line and leave with the exit code of its ending."""
    sys.exit(run(sys.argv[1:]))


# How each failure ends: the kind that `--json` names, and the exit code. A bare OSError is the machine's: rooms word
# the failures that they expect, what is left is a full disk and its like.
_ENDINGS: tuple[tuple[type[Exception], str, int], ...] = (
    (TyperException, "user", 2),
    (UserError, "user", 2),
    (CandidateError, "candidate", 1),
    (InfraError, "infrastructure", 3),
    (SimgpuError, "infrastructure", 3),
    (OSError, "infrastructure", 3),
)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; the sentence of a failure is printed here, once."""
    try:
        # standalone_mode=False: errors come back as exceptions, so that one place words them all.
        result = app(args=arguments, prog_name="kernelwright", standalone_mode=False)
    except (Abort, KeyboardInterrupt):
        progress.print("interrupted")
        return 130
    except tuple(kind for kind, _, _ in _ENDINGS) as error:
        return _fail(error, as_json="--json" in arguments)
    return result if isinstance(result, int) else 0


def _fail(error: Exception, *, as_json: bool) -> int:
    kind, code = next((kind, code) for type_, kind, code in _ENDINGS if isinstance(error, type_))
    sentence = f"{error.format_message()} (see --help)" if isinstance(error, TyperException) else str(error)
    if as_json:
        emit_json(ErrorReport(error=kind, message=sentence))
    progress.print("error:", style="bold red", end=" ")
    progress.print(sentence)
    return code


if __name__ == "__main__":
    main()
