"""`pitboss`: the commands, and the one place where errors become messages and exit codes.

Exit codes: 0 done, 1 the run failed, 2 bad input, 3 the run was cancelled, 4 not found or in conflict,
5 the database or the data folder cannot be used, 130 interrupted.
"""

from __future__ import annotations

import json
import sys

import typer

from pitboss.cli import config, data, db, demo, doctor, kinds, launch, runs, scripts, server, strategy
from pitboss.cli.streams import end_of_output, prepare_streams
from pitboss.core.errors import DiskFull

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
app.command("run")(kinds.run)
app.add_typer(kinds.app, name="kinds")
app.add_typer(scripts.app, name="scripts")
app.add_typer(runs.app, name="runs")
app.command("queue")(runs.queue)
app.add_typer(strategy.app, name="strategy")
app.add_typer(data.app, name="data")
app.command("serve")(server.serve)
app.add_typer(server.worker_app, name="worker")
app.command("demo")(demo.demo)
app.add_typer(db.app, name="db")
app.add_typer(config.app, name="config")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line; whatever goes wrong ends in a message and an exit code."""
    prepare_streams()
    try:
        sys.exit(end_of_output(_run()))
    except DiskFull as error:
        sys.exit(report(error))


def _run() -> int:
    try:
        app()
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return report(error)


def report(error: Exception) -> int:
    """Tell the user what went wrong, as JSON when `--json` was asked for; answer the exit code."""
    from pitboss.core.report import as_pitboss_error, describe, exit_code, lines_of

    told = as_pitboss_error(error)
    if "--json" in sys.argv:
        print(json.dumps({"error": describe(told)}))
    print("\n".join(lines_of(told)), file=sys.stderr)
    return exit_code(told)


if __name__ == "__main__":
    main()
