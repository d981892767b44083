"""What an agent is told at a step, in words and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pitboss.core.clock import micros_to_iso
from pitboss.sessions.session import View
from pitboss.trading.model import Account

SHOWN_BARS = 10

INSTRUCTIONS = """\
You trade one session with an account of your own. At each step you see the market as it is known at that moment, and \
decide: order with the tools, or hold. An order fills at the next opening, not at the price that you see, and costs \
commission and slippage. What is open at the end of the session is closed then. Use the tools for prices, indicators, \
news and arithmetic; nothing later than the moment of the step can be seen. End each step with one or two sentences \
that say what you did and why."""


def described(view: View) -> dict[str, Any]:
    """Answer a step as a program sees it: what is known, what is held, and what came of earlier orders."""
    gate = view.gate
    return {
        "step": view.tick.number, "steps": view.total, "now": micros_to_iso(view.tick.known),
        "timeframe": str(gate.timeframe), "symbols": sorted(gate.bars),
        "portfolio": portfolio(view.account),
        "bars": {symbol: gate.history(symbol, SHOWN_BARS) for symbol in sorted(gate.bars)},
        "since_last_step": [answer.as_dict() for answer in view.answers],
        "waiting": [intent.as_dict() for intent in view.waiting],
    }  # fmt: skip


def portfolio(account: Account) -> dict[str, Any]:
    """Answer what an account holds."""
    return {
        "cash": float(account.cash), "equity": float(account.equity), "buying_power": float(account.free),
        "positions": [position.as_dict() for position in account.positions.values()],
    }  # fmt: skip


def prompt_of(shown: Mapping[str, Any], recent: Sequence[str]) -> str:
    """Answer a step in words, by what `described` says of it."""
    lines = [f"Step {shown['step']} of {shown['steps']}. It is {shown['now']} (UTC). Bars are of {shown['timeframe']}."]
    held = shown["portfolio"]
    lines.append(f"Cash {held['cash']:,.2f}, equity {held['equity']:,.2f}.")
    lines += [
        f"You hold {each['quantity']:g} {each['symbol']} at {each['average_price']:.4f}, now {each['price']:.4f}, "
        f"unrealized {each['unrealized']:+,.2f}."
        for each in held["positions"]
    ] or ["You hold nothing."]
    for answer in shown["since_last_step"]:
        what = f"{answer['side']} {answer['quantity']:g} {answer['symbol']}"
        came = f"filled at {answer['price']:.4f}" if answer["price"] is not None else f"refused: {answer['reason']}"
        lines.append(f"Your order to {what} was {came}.")
    lines += [f"Waiting: {each['action']} {each['quantity']} {each['symbol']}." for each in shown["waiting"]]
    for symbol, bars in shown["bars"].items():
        lines.append(f"{symbol}, time open high low close volume:")
        lines += [
            f"{bar['ts'][11:16] if 'm' in shown['timeframe'] or 'h' in shown['timeframe'] else bar['ts'][:10]} "
            f"{bar['open']:g} {bar['high']:g} {bar['low']:g} {bar['close']:g} {bar['volume']:g}"
            for bar in bars
        ] or ["no bar yet"]
    if recent:
        lines += ["Your last decisions:", *recent]
    return "\n".join(lines)
