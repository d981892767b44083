"""Sending to whatever Apprise knows: mail, Slack, Telegram, webhooks, … (https://github.com/caronc/apprise/wiki)."""

from __future__ import annotations

from typing import Any

from pitboss.core.errors import InvalidInput

_SCHEME = 20  # characters at most: what follows is a secret, and is not shown


def send(address: str, title: str, body: str) -> None:
    """Send a notice. Raises OSError where it is not taken, InvalidInput for what is no address."""
    if not _opened(address).notify(title=title, body=body):
        raise OSError("it was not taken: see the server's log")


def check_address(address: str) -> None:
    """Raise InvalidInput for what is no address."""
    _opened(address)


def _opened(address: str) -> Any:
    try:
        import apprise  # a third of a second, and only who has a channel waits for it
    except ModuleNotFoundError:
        what = "what sends notifications is not installed"
        raise InvalidInput(what, "pip install 'pitboss[notifications]'", "address") from None
    made = apprise.Apprise()
    if not made.add(address):
        shown = f"{address.partition(':')[0][:_SCHEME]}:…"
        raise InvalidInput(f"'{shown}' is no address", "such as mailto://me:password@example.com", "address")
    return made
