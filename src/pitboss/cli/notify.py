"""`pitboss notify …`: where somebody is told of what has happened."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.cli.platform import platform_of
from pitboss.cli.render import short_time, table

app = typer.Typer(help="Be told of what has happened: by mail, Slack, Telegram, a webhook, …", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A channel's name, such as MAIL.")]


@app.command()
def add(
    name: Name,
    on: Annotated[
        list[str] | None, typer.Option("--on", help="asked, completed, failed, passed or missed; repeat for several.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Keep a channel. Its address is asked for or read from standard input, sealed, and never shown again."""
    address = typer.prompt("address", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.read().strip()
    with platform_of(data_dir, takes_up=False) as platform:
        made = platform.channels.add(platform.who, name, address, on or ["asked", "failed", "missed"])
    print(f"{name} is told of {', '.join(each.value for each in made.news)}; try it: pitboss notify test {name}")


@app.command("list")
def list_channels(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the channels, and what was told last over each."""
    with platform_of(data_dir, takes_up=False) as platform:
        found = [platform.channels.described(each) for each in platform.channels.all(platform.who)]
    if as_json:
        print_json(found)
    elif found:
        rows = []
        for each in found:
            last = each["notices"][0] if each["notices"] else {}
            told = f"{short_time(last['created_at'])} {last['state']}: {last['title']}" if last else ""
            rows.append([each["name"], ", ".join(each["news"]), told, last.get("error", "")])
        table(("name", "told of", "last (UTC)", "error"), rows)
    else:
        print("There are no channels: 'pitboss notify add MAIL' keeps one.")


@app.command("test")
def send_test(name: Name, data_dir: DataDir = None) -> None:
    """Send something over a channel now."""
    with platform_of(data_dir, takes_up=False) as platform:
        platform.channels.test(platform.who, name)
    print(f"{name} took it")


@app.command()
def remove(name: Name, data_dir: DataDir = None) -> None:
    """Forget a channel and its address."""
    with platform_of(data_dir, takes_up=False) as platform:
        platform.channels.remove(platform.who, name)
    print(f"{name} is removed")
