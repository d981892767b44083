"""Documents to start from."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def starters() -> dict[str, str]:
    """Answer the documents by name, the simplest first."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.yaml")}
    return dict(sorted(texts.items(), key=lambda item: ("trend", "reversion", "breakout").index(item[0])))
