"""`pitboss`: the commands, and the one place where errors become messages and exit codes.

Exit codes: 0 done, 1 the run failed, 2 bad input, 3 the run was cancelled, 4 not found or in conflict,
5 the database or the data folder cannot be used, 130 interrupted.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from pitboss.cli.streams import end_of_output, leave, prepare_streams
from pitboss.core.errors import DiskFull
from pitboss.core.report import as_pitboss_error, describe, exit_code, lines_of

# where each command is, and what it does: a command's module loads when it is run, not to be listed
COMMANDS = {
    "backtest": ("launch:backtest", "Backtest a strategy document over stored bars."),
    "sweep": ("launch:sweep", "Backtest every combination of a grid of parameters."),
    "train": ("launch:train", "Train the model of a strategy document on stored bars."),
    "models": ("models:app", "List, compare, promote and export trained models."),
    "run": ("kinds:run", "Run any kind: submit, watch, and show what came of it."),
    "kinds": ("kinds:app", "List and describe the kinds of run."),
    "scripts": ("scripts:app", "List, show and check the scripts that can be run."),
    "traders": ("traders:app", "Make traders, order for them, and compare them."),
    "session": ("session:app", "Start sessions of traders, and fork them."),
    "ledger": ("ledger:app", "Prove and replay the ledgers of trading accounts."),
    "schedules": ("schedules:app", "Have runs start by themselves."),
    "chains": ("chains:app", "Have runs follow each other."),
    "notify": ("notify:app", "Be told of what has happened: by mail, Slack, a webhook, …"),
    "runs": ("runs:app", "List, watch, cancel, retry and export runs."),
    "queue": ("runs:queue", "Show what waits and why, what runs, and who works."),
    "presets": ("presets:app", "Keep params under a name."),
    "strategy": ("strategy:app", "Check, store and show strategy documents."),
    "screen": ("screen:app", "Check, store and show screen documents."),
    "schema": ("strategy:schema", "Print the JSON Schema of strategy documents, for editors."),
    "data": ("data:app", "Import, list and export bars."),
    "users": ("users:app", "Make the first account, and see to the others."),
    "tokens": ("tokens:app", "Make, list and revoke tokens for programs."),
    "secrets": ("secrets:app", "Keep secrets that jobs need."),
    "audit": ("users:audit", "Show who did what to what, and when."),
    "serve": ("server:serve", "Serve the HTTP API, with a worker kept running beside it."),
    "worker": ("worker:worker_app", "Run a worker, or see to those that run."),
    "demo": ("demo:demo", "Run the main job from end to end on synthetic bars."),
    "db": ("db:app", "Migrate, check, copy, back up and restore the database."),
    "config": ("config:app", "Settings."),
    "doctor": ("doctor:doctor", "Examine what is installed, writable and reachable."),
}
CONTEXT = {"help_option_names": ["-h", "--help"]}


class Commands(TyperGroup):
    """The commands, each loaded when it is called."""

    is_listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        place, meaning = COMMANDS[cmd_name]
        return TyperCommand(cmd_name, help=meaning) if self.is_listing else _loaded(cmd_name, place)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.is_listing = True
        super().format_help(ctx, formatter)


def _loaded(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    gc.disable()  # modules are here to stay: looking for garbage among them is a tenth of the time to load them
    found = getattr(import_module(f"pitboss.cli.{module}"), attribute)
    gc.enable()
    if isinstance(found, typer.Typer):
        command: Any = typer.main.get_group(found)
    else:
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=CONTEXT)
        alone.command(name)(found)
        command = typer.main.get_command(alone)
    command.name = name
    return command


app = typer.Typer(
    name="pitboss", cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)  # fmt: skip


@app.callback()
def pitboss(
    url: Annotated[
        str | None,
        typer.Option("--url", help="A server to work at, such as https://host.", show_default="this machine"),
    ] = None,
) -> None:
    """Backtests, sweeps and every other long job as durable, observable, cancellable runs."""
    if url is not None:
        os.environ["PITBOSS_URL"] = url


def main() -> None:
    """Run the command line; whatever goes wrong ends in a message and an exit code."""
    prepare_streams()
    logging.getLogger("pitboss").setLevel(logging.ERROR)  # a command says itself what is wrong
    try:
        code = end_of_output(_run())
    except DiskFull as error:
        code = report(error)
    leave(code)


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
    told = as_pitboss_error(error)
    if "--json" in sys.argv:
        print(json.dumps({"error": describe(told)}))
    print("\n".join(lines_of(told)), file=sys.stderr)
    return exit_code(told)


if __name__ == "__main__":
    main()
