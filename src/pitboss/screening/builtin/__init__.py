"""Screens that come with pitboss; each tells in its text where its criteria come from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pitboss.core.errors import InvalidInput, suggest


def screen_text(given: str, known: Mapping[str, str] | None = None) -> str:
    """Answer the text of a screen by its name among those that are `known`, dash and underscore alike, or as it was
    given. Raises InvalidInput."""
    if "\n" in given or ":" in given:
        return given
    known = builtin_screens() if known is None else known
    text = known.get(given.strip().replace("_", "-"))
    if text is None:
        raise InvalidInput(f"there is no screen '{given[:60]}'", suggest(given, known), "screen")
    return text


@cache
def builtin_screens() -> dict[str, str]:
    """Answer the texts by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.yaml"))}
