"""How zones and sessions are written. Light: a document is checked without the libraries that compute with them."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from pitboss.core.errors import InvalidInput

ALWAYS = "24x7"
_RULE = re.compile(r"(\d{1,2}):(\d\d) (\S+)")
_EXCHANGE = re.compile(r"[A-Z0-9_]{2,12}(/[A-Z]+)?|24/[57]")
_EXAMPLES = "write 24x7, an exchange's code such as XNYS or XLON, or a rule such as '17:00 America/New_York'"


def check_zone(tz: str | None, where: str = "tz") -> str:
    """Answer the zone's name. Raises InvalidInput when there is none of that name."""
    try:
        return ZoneInfo(tz or "UTC").key
    except (KeyError, ValueError, OSError):
        raise InvalidInput(
            f"unknown time zone '{str(tz)[:40]}'", "write UTC, America/New_York, Europe/London, …", where
        ) from None


def read_session(text: str) -> tuple[str, int] | str:
    """Read a session: the zone and the start of its days (microseconds after midnight), or the code of an exchange.

    Raises InvalidInput for what is neither.
    """
    text = str(text).strip()
    if text.lower() in (ALWAYS, "24/7", "always"):
        return "UTC", 0
    rule = _RULE.fullmatch(text)
    if rule and int(rule[1]) < 24 and int(rule[2]) < 60:
        return check_zone(rule[3], "session"), (int(rule[1]) * 60 + int(rule[2])) * 60_000_000
    if rule or not _EXCHANGE.fullmatch(text):
        raise no_session(f"'{text[:40]}' is no session")
    return text


def no_session(what: str) -> InvalidInput:
    """Answer the error of a session that is none."""
    return InvalidInput(what, _EXAMPLES, "session")
