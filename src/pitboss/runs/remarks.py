"""What people write beside runs and saved backtests: tags and notes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from pitboss.core.errors import InvalidInput
from pitboss.runs.submission import read_tags

MOST_NOTES = 20_000  # characters


@dataclass(frozen=True, slots=True)
class Remarks:
    """Tags and notes of one thing."""

    tags: tuple[str, ...] = ()
    notes: str = ""


NONE = Remarks()


class RemarkStore(Protocol):
    """Keeps remarks by what they are about; who may read or write them is asked before."""

    def of(self, thing: str, ids: Collection[str]) -> Mapping[str, Remarks]:
        """Answer the remarks of those that have any, by id."""

    def put(self, thing: str, thing_id: str, written: Remarks) -> None:
        """Keep remarks in place of what was there."""

    def remove(self, thing: str, thing_id: str) -> None:
        """Remove the remarks of something that is gone."""


def read_remarks(tags: Collection[str], notes: str) -> Remarks:
    """Answer remarks as they may be kept. Raises InvalidInput."""
    if len(notes) > MOST_NOTES:
        raise InvalidInput(f"the notes have {len(notes):,} characters", f"at most {MOST_NOTES:,}", "notes")
    if "\x00" in notes or any("\x00" in tag for tag in tags):
        raise InvalidInput("the notes hold a NUL character", "remove it", "notes")
    return Remarks(read_tags(tuple(tags)), notes)
