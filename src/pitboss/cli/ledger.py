"""`pitboss ledger …`: prove the ledger, and replay it."""

from __future__ import annotations

from typing import Annotated

import typer

from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.cli.platform import platform_of
from pitboss.cli.render import table
from pitboss.market.dates import moment_of

app = typer.Typer(help="Prove and replay the ledgers of trading accounts.", no_args_is_help=True)


@app.command()
def verify(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Follow every chain of entries, and hold accounts, positions and fills against them."""
    with platform_of(data_dir, takes_up=False) as platform:
        count, faults = platform.trading.verify(platform.who)
    if as_json:
        print_json({"entries": count, "faults": faults})
    else:
        print("\n".join(faults) if faults else f"{count:,} entries: every chain holds, and everything adds up")
    if faults:
        raise typer.Exit(1)


@app.command()
def replay(
    trader: Annotated[str | None, typer.Argument(help="A trader's name or id; all of them without.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="A moment of the market, UTC.", show_default="the end")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what traders' own accounts had at a moment, by their ledgers alone."""
    until = moment_of(at, "--at") if at is not None else None
    with platform_of(data_dir, takes_up=False) as platform:
        trading, who = platform.trading, platform.who
        chosen = [trading.get(who, trader)] if trader is not None else trading.all(who)
        found = [(each, trading.replay(who, each.id, until)) for each in chosen]
    if as_json:
        print_json(
            [
                {
                    "trader_id": each.id, "name": each.name, "cash": float(standing.cash),
                    "shares": {symbol: float(shares) for symbol, shares in standing.held().items()},
                    "accounts": {name: float(amount) for name, amount in sorted(standing.amounts.items()) if amount},
                }
                for each, standing in found
            ]
        )  # fmt: skip
    else:
        held = [", ".join(f"{shares:g} {name}" for name, shares in standing.held().items()) for _, standing in found]
        rows = [[each.name, f"{standing.cash:,.2f}", what] for (each, standing), what in zip(found, held, strict=True)]
        table(("trader", "cash", "shares"), rows)
