"""`pitboss`: the commands, and the one place where errors become messages and exit codes.

Exit codes: 0 done, 1 the run failed, 2 bad input, 3 the run was cancelled, 4 not found or in conflict,
5 the database or the data folder cannot be used, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import typer

from pitboss.cli import config, data, demo, doctor, launch, runs, server, strategy

if TYPE_CHECKING:
    from pitboss.core.errors import PitbossError

app = typer.Typer(
    name="pitboss",
    help="Backtests, sweeps and every other long job as durable, observable, cancellable runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("backtest")(launch.backtest)
app.command("sweep")(launch.sweep)
app.add_typer(runs.app, name="runs")
app.command("queue")(runs.queue)
app.add_typer(strategy.app, name="strategy")
app.add_typer(data.app, name="data")
app.command("serve")(server.serve)
app.command("worker")(server.worker)
app.command("demo")(demo.demo)
app.add_typer(config.app, name="config")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line; whatever goes wrong ends in a message and an exit code."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # a reader such as `head` has left
        sys.exit(0)
    except Exception as error:
        sys.exit(report(error))


def report(error: Exception) -> int:
    """Tell the user what went wrong, as JSON when `--json` was asked for; answer the exit code."""
    from pitboss.core.errors import PitbossError

    if not isinstance(error, PitbossError):
        if os.environ.get("PITBOSS_DEBUG"):
            raise error
        error = PitbossError(
            f"something went wrong inside pitboss: {type(error).__name__}: {error}",
            "set PITBOSS_DEBUG=1 to see where, and report it",
        )
    if "--json" in sys.argv:
        print(json.dumps({"error": describe(error)}))
    for line in lines_of(error):
        print(line, file=sys.stderr)
    return exit_code(error)


def lines_of(error: PitbossError) -> list[str]:
    """Answer an error as lines: each problem with its place, the text and the remedy."""
    from pitboss.core.errors import InvalidInput

    if not isinstance(error, InvalidInput):
        return [f"error: {error.message}", *([f"  → {error.remedy}"] if error.remedy else [])]
    lines = []
    for problem in error.problems:
        place = f"line {problem.line}, column {problem.column}: " if problem.line else ""
        place = place or (f"{problem.where}: " if problem.where else "")
        lines.append(f"error: {place}{problem.message}")
        lines += [f"    {problem.text}"] if problem.text else []
        lines += [f"  → {problem.remedy}"] if problem.remedy else []
    return lines


def describe(error: PitbossError) -> dict[str, object]:
    """Answer an error as JSON."""
    from pitboss.core.errors import InvalidInput

    described: dict[str, object] = {"message": error.message, "remedy": error.remedy}
    if isinstance(error, InvalidInput):
        described["problems"] = [problem.as_dict() for problem in error.problems]
    return described


def exit_code(error: PitbossError) -> int:
    """Answer the exit code for an error."""
    from pitboss.core import errors

    if isinstance(error, errors.InvalidInput):
        return 2
    if isinstance(error, errors.NotFound | errors.Conflict | errors.QueueFull):
        return 4
    return 5 if isinstance(error, errors.StorageUnavailable) else 1


if __name__ == "__main__":
    main()
