"""`pitboss users …` and `pitboss audit`."""

from __future__ import annotations

import csv
import sys
from typing import Annotated

import typer

from pitboss.accounts.model import Role
from pitboss.cli.desk import desk_of
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.cli.platform import platform_of
from pitboss.cli.render import short_time, table
from pitboss.core.errors import InvalidInput
from pitboss.runs.model import RunQuery
from pitboss.runs.states import State

app = typer.Typer(help="Make the first account, and see to the others.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="An account's name.")]
UNCANCELLED = (State.QUEUED, State.STARTING, State.RUNNING)
_PAGE = 1000  # entries of the audit that are read at once


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="The first administrator's name.")] = "admin",
    adopt: Annotated[
        str | None, typer.Option(help="To whom belongs what is there already.", show_default="the administrator")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make the first administrator: from then on whoever comes over HTTP must sign in or bring a token."""
    with platform_of(data_dir, takes_up=False) as platform:
        platform.accounts.begin(name, asked_password(), adopt)
        folder = platform.settings.data_dir
    print(f"{name} is the first administrator; what was here belongs to {adopt or name}")
    if folder.stat().st_mode & 0o004:
        print(f"every user of this machine can read {folder}: chmod o-rwx {folder}", file=sys.stderr)


@app.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help=f"{', '.join(Role)}.")] = Role.TRADER.value,
    data_dir: DataDir = None,
) -> None:
    """Make an account; its password is asked for, or read from standard input."""
    with desk_of(data_dir, takes_up=False) as desk:
        desk.accounts.add(desk.who, name, asked_password(), role)
    print(f"{name} is a {role}")


@app.command("list")
def list_users(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the accounts."""
    with desk_of(data_dir, takes_up=False) as desk:
        found = [account.as_dict() for account in desk.accounts.all(desk.who)]
    if as_json:
        print_json(found)
    elif found:
        rows = [[a["name"], a["role"], "yes" if a["is_enabled"] else "no", short_time(a["created_at"])] for a in found]
        table(("name", "role", "enabled", "made (UTC)"), rows)
    else:
        print("There are no accounts: nobody must sign in. Make the first with 'pitboss users init'.")


@app.command()
def disable(
    name: Name,
    cancel_runs: Annotated[bool, typer.Option("--cancel-runs", help="Cancel its runs; they go on otherwise.")] = False,
    data_dir: DataDir = None,
) -> None:
    """End an account's sessions and tokens at once, and let it sign in no more."""
    with desk_of(data_dir, takes_up=False) as desk:
        desk.accounts.disable(desk.who, name)
        cancelled = 0
        query = RunQuery(states=UNCANCELLED, owner=name, limit=500)
        while cancel_runs and (found := desk.service.find(desk.who, query)):
            for run in found:
                desk.service.cancel(desk.who, run.id, True, "its account was disabled")
            cancelled += len(found)
    print(f"{name} is disabled; {cancelled} runs are cancelled" if cancel_runs else f"{name} is disabled")


@app.command()
def enable(name: Name, data_dir: DataDir = None) -> None:
    """Let an account sign in again."""
    with desk_of(data_dir, takes_up=False) as desk:
        desk.accounts.enable(desk.who, name)
    print(f"{name} can sign in again; its tokens must be made anew")


@app.command()
def password(name: Name, data_dir: DataDir = None) -> None:
    """Set an account's password, and end its sessions."""
    with desk_of(data_dir, takes_up=False) as desk:
        desk.accounts.set_password(desk.who, name, asked_password())
    print(f"{name} has a new password and must sign in again")


@app.command()
def role(
    name: Name, role: Annotated[str, typer.Argument(help=f"{', '.join(Role)}.")], data_dir: DataDir = None
) -> None:
    """Change what an account is for."""
    with desk_of(data_dir, takes_up=False) as desk:
        desk.accounts.set_role(desk.who, name, role)
    print(f"{name} is a {role}")


@app.command()
def remove(name: Name, data_dir: DataDir = None) -> None:
    """Remove an account; its runs stay, and its name is never given again."""
    with desk_of(data_dir, takes_up=False) as desk:
        desk.accounts.remove(desk.who, name)
    print(f"{name} is removed")


def audit(
    of: Annotated[str | None, typer.Option(help="Only what one account did.")] = None,
    limit: Annotated[int | None, typer.Option(help="How many, the latest.", show_default="all")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show who did what to what, when, from where and with which token: oldest first; --json prints a line each."""
    with desk_of(data_dir, takes_up=False) as desk:
        found, after = [], ""
        while page := desk.accounts.entries(desk.who, after, _PAGE, of):
            found += page
            after = page[-1]["id"]
    found = found[-limit:] if limit else found
    columns = ("at", "who", "via", "address", "action", "target", "detail")
    if as_json:
        for entry in found:
            print_json(entry)
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows([entry[name] for name in columns] for entry in found)
    else:
        rows = [[short_time(entry["at"]), *(entry[name] for name in columns[1:6])] for entry in found]
        table(columns[:6], rows) if rows else print("Nothing is noted yet.")


def asked_password() -> str:
    """Ask for a password twice, or read it from standard input where that is no terminal. Raises InvalidInput."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    given: str = typer.prompt("password", hide_input=True, err=True)
    if typer.prompt("once more", hide_input=True, err=True) != given:
        raise InvalidInput("the two passwords differ", "try again", "password")
    return given
