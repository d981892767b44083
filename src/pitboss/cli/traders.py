"""`pitboss traders …`: traders with accounts, their orders, and how good they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pitboss.cli.kinds import read_params_file
from pitboss.cli.options import AsJson, DataDir, print_json, read_params
from pitboss.cli.platform import platform_of
from pitboss.cli.render import table
from pitboss.core.errors import InvalidInput
from pitboss.market.dates import moment_of

app = typer.Typer(help="Make traders, order for them, and compare them.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A trader's name or id.")]
Given = Annotated[list[str] | None, typer.Option("--agent", "-a", help="Of the agent: type=random; repeat.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    cash: Annotated[float, typer.Option(help="What its account begins with.")] = 10_000.0,
    agent: Given = None,
    strategy: Annotated[Path | None, typer.Option(help="A strategy's file: the trader goes by its rules.")] = None,
    file: Annotated[Path | None, typer.Option(help="A YAML or JSON file with agent, rules and costs.")] = None,
    rule: Annotated[list[str] | None, typer.Option("--rule", help="short=false, leverage=2; repeat.")] = None,
    cost: Annotated[list[str] | None, typer.Option("--cost", help="commission=0.02%; repeat.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a trader with an account of its own."""
    described = read_params_file(file) if file is not None else {}
    own = {**described.get("agent", {}), **read_params(agent, "--agent")}
    if strategy is not None:
        own = {"type": "rules", **own, "strategy": _text_of(strategy)}
    rules = {**described.get("rules", {}), **read_params(rule, "--rule")}
    costs = {**(described.get("costs") or {}), **read_params(cost, "--cost")} if cost or "costs" in described else None
    with platform_of(data_dir, takes_up=False) as platform:
        trader = platform.trading.create(platform.who, name, cash, own, rules, costs)
    print_json(trader.as_dict()) if as_json else print(f"{trader.name}  {trader.id}  cash {trader.cash:,.2f}")


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", "name a strategy's file", "--strategy") from None


@app.command("list")
def list_traders(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the traders with what their accounts hold."""
    with platform_of(data_dir, takes_up=False) as platform:
        found = [(trader, platform.trading.account(platform.who, trader.id))
                 for trader in platform.trading.all(platform.who)]  # fmt: skip
    if as_json:
        print_json([trader.as_dict() | {"cash": float(account.cash)} for trader, account in found])
    elif found:
        rows = [
            [t.name, t.agent["type"], t.agent.get("model"), f"{a.cash:,.2f}", len(a.positions), t.id] for t, a in found
        ]
        table(("name", "agent", "model", "cash", "positions", "id"), rows)
    else:
        print("There are no traders: 'pitboss traders add NAME --agent type=random' makes one.")


@app.command()
def order(
    name: Name,
    action: Annotated[str, typer.Argument(help="buy, sell, short or cover.")],
    symbol: Annotated[str, typer.Argument(help="What.")],
    quantity: Annotated[str, typer.Argument(help="How many.")],
    at: Annotated[str | None, typer.Option(help="The minute, UTC: 2014-06-05T14:30.", show_default="now")] = None,
    key: Annotated[str | None, typer.Option(help="The same key again is the same order.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Order in a trader's own account; the order is filled whole, or refused with the reason."""
    with platform_of(data_dir, takes_up=False) as platform:
        moment = None if at is None else moment_of(at, "--at")
        answer = platform.trading.execute_trade(
            platform.who, platform.quotes_of(platform.who), name, action, symbol, quantity, moment,
            idempotency_key=key,
        )  # fmt: skip
    said = answer.as_dict()
    if as_json:
        print_json(said)
    elif answer.is_filled:
        print(f"filled: {said['side']} {said['quantity']:g} {said['symbol']} at {said['price']:,.4f}, "
              f"fee {said['fee']:,.2f}; cash {said['cash']:,.2f}, position {said['position']:g}")  # fmt: skip
    else:
        print(f"refused: {said['reason']}")
    if not answer.is_filled:
        raise typer.Exit(1)


@app.command()
def trades(name: Name, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the fills of manual orders and of completed sessions."""
    with platform_of(data_dir, takes_up=False) as platform:
        found = [answer.as_dict() for answer in platform.trading.trades(platform.who, name)]
    columns = ("at", "side", "symbol", "quantity", "price", "fee", "gain", "source", "run_id")
    print_json(found) if as_json else table(columns, [[each[column] for column in columns] for each in found])


@app.command()
def performance(name: Name, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show how good a trader is, by its completed sessions alone."""
    with platform_of(data_dir, takes_up=False) as platform:
        found = platform.bench.performance(platform.who, name)
    print_json(found) if as_json else table(("figure", "value"), [[key, _shown(found[key])] for key in found])


@app.command()
def leaderboard(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Compare the traders, net of fees and of what their models cost."""
    with platform_of(data_dir, takes_up=False) as platform:
        found = platform.bench.leaderboard(platform.who)
    columns = ("name", "sessions", "net_return", "random_return", "buy_and_hold", "drawdown", "sharpe", "evidence")
    print_json(found) if as_json else table(columns, [[_shown(row[column]) for column in columns] for row in found])


def _shown(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
