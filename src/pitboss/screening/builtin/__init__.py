"""Screens that come with pitboss; each tells in its text where its criteria come from."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def builtin_screens() -> dict[str, str]:
    """Answer the texts by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.yaml"))}
