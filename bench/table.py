"""One table of figures: what was measured, against which peer or limit, and the ratio."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`value` and `against` in the same unit; less is better unless `more_is_better`."""

    what: str
    value: float
    unit: str
    against: float
    opponent: str
    more_is_better: bool = False

    @property
    def ratio(self) -> float:
        return self.value / self.against if self.against else float("nan")

    @property
    def is_met(self) -> bool:
        return self.ratio >= 1 if self.more_is_better else self.ratio <= 1

    def cells(self) -> list[str]:
        verdict = "" if "limit" not in self.opponent else ("met" if self.is_met else "**not met**")
        return [self.what, f"{self.value:,.4g} {self.unit}", f"{self.against:,.4g} {self.unit}", self.opponent,
                f"{self.ratio:.3g}", verdict]  # fmt: skip


HEADER = ["what", "measured", "against", "opponent", "ratio", ""]


def markdown(rows: list[Row]) -> str:
    lines = [HEADER, ["---"] * len(HEADER), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
