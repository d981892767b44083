"""Equity and drawdown as a picture: SVG, which a notebook shows and a browser opens, made of nothing but text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pitboss.core.errors import InvalidInput

F64 = npt.NDArray[np.float64]
WIDTH, HEIGHT, SHARE, MARGIN = 860, 360, 0.68, 46  # of the picture, of equity's part of it
POINTS = 1_000  # of a line: more than a screen has columns


@dataclass(frozen=True)
class Plot:
    """A picture of a result. A notebook shows it; `save` writes it to a file."""

    svg: str

    def save(self, path: str | Path) -> Path:
        """Write the picture to an .svg file and answer its path. Raises InvalidInput where it cannot be written."""
        file = Path(path)
        if file.suffix.lower() != ".svg":
            raise InvalidInput(f"'{file.name}' is no .svg file", "write equity.svg", "path")
        try:
            file.write_text(self.svg, encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"cannot write {file}: {error.strerror}", "check the folder", "path") from None
        return file

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return "a picture: show it in a notebook, or .save('equity.svg')"


def plotted(title: str, dates: Sequence[str], equity: F64, drawdown: F64) -> Plot:
    """Answer equity over drawdown. `dates` are the first and the last one; `drawdown` is a fraction, 0 or below."""
    cut = HEIGHT * SHARE
    upper, lower = (MARGIN, cut - 14), (cut + 10, HEIGHT - 24)
    top, bottom = float(equity.max()), float(equity.min())
    deepest = min(float(drawdown.min()), -1e-9)
    labels = [
        (WIDTH / 2, 22, "middle", title),
        (4, upper[0] + 10, "start", f"{top:,.0f}"), (4, upper[1], "start", f"{bottom:,.0f}"),
        (4, lower[0] + 10, "start", "0 %"), (4, lower[1], "start", f"{100 * deepest:.1f} %"),
        (MARGIN + 24, HEIGHT - 6, "start", dates[0]), (WIDTH - 4, HEIGHT - 6, "end", dates[-1]),
    ]  # fmt: skip
    texts = "".join(
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>' for x, y, anchor, text in labels
    )
    lines = [
        f'<polyline fill="none" stroke="#2f6fde" stroke-width="1.4" points="{_points(equity, bottom, top, upper)}"/>',
        f'<polyline fill="none" stroke="#c2410c" points="{_points(drawdown, deepest, 0.0, lower)}"/>',
    ]
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    style = 'font-family="system-ui, sans-serif" font-size="12" fill="#6b7280"'
    return Plot(f'{frame} {style} aria-label="{escape(title)}">{"".join(lines)}{texts}</svg>')


def _points(values: F64, low: float, high: float, span: tuple[float, float]) -> str:
    """Answer a line within `span`, from its top down: of many values the extremes of each column."""
    pieces = np.array_split(np.arange(len(values)), min(POINTS, len(values)))
    lows, highs = ([piece[extreme(values[piece])] for piece in pieces] for extreme in (np.argmin, np.argmax))
    places = np.unique(lows + highs)
    x = MARGIN + 24 + (WIDTH - MARGIN - 28) * places / max(1, len(values) - 1)
    y = span[1] - (values[places] - low) / ((high - low) or 1.0) * (span[1] - span[0])
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
