"""`pitboss tokens …`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pitboss.accounts.model import Scope
from pitboss.cli.desk import desk_of
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.cli.render import short_time, table
from pitboss.core.duration import seconds_of

app = typer.Typer(help="Make, list and revoke tokens for programs.", no_args_is_help=True)
Account = Annotated[str | None, typer.Option("--account", help="Whose it is.", show_default="your own")]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What it is for: notebook, agent, …")],
    scope: Annotated[str, typer.Option(help=f"What it may do: {', '.join(Scope)}.")] = Scope.RUN.value,
    expires: Annotated[str, typer.Option(help="When it ends: 90d, 12h, or never.")] = "90d",
    account: Account = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, this once."""
    lasts = None if expires == "never" else seconds_of(expires, "--expires")
    with desk_of(data_dir, takes_up=False) as desk:
        desk.prove()
        token, key = desk.accounts.create_token(desk.accounts.acting_for(desk.who, account), name, scope, lasts)
    if as_json:
        print_json(token.as_dict() | {"token": key})
        return
    print(key)
    print("It is shown this once. Programs send it as 'Authorization: Bearer …', or find it in PITBOSS_TOKEN.",
          file=sys.stderr)  # fmt: skip


@app.command("list")
def list_tokens(account: Account = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List tokens: what they are for, when they end, when and from where they were last used."""
    with desk_of(data_dir, takes_up=False) as desk:
        found = [token.as_dict() for token in desk.accounts.tokens(desk.accounts.acting_for(desk.who, account))]
    if as_json:
        print_json(found)
        return
    columns = ("name", "prefix", "scope", "expires_at", "used_at", "used_from", "revoked_at")
    rows = [[short_time(t[c]) if c.endswith("_at") and t[c] else t[c] or "" for c in columns] for t in found]
    titles = ("name", "begins", "may", "ends (UTC)", "last used", "from", "revoked")
    table(titles, rows) if rows else print("There are no tokens: make one with 'pitboss tokens create --name NAME'.")


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="Its name, its id, or how it begins.")],
    account: Account = None,
    data_dir: DataDir = None,
) -> None:
    """End a token at once."""
    with desk_of(data_dir, takes_up=False) as desk:
        ended = desk.accounts.revoke(desk.accounts.acting_for(desk.who, account), token)
    print(f"{ended.name} ({ended.prefix}…) is revoked")
