"""What a strategy is named by: a document's text, its file, or the name under which it is stored."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.places import is_file
from pitboss.strategy.reader import read_document_file

_ENDINGS = (".yaml", ".yml")


class TextsByName(Protocol):
    """Where documents are stored."""

    def text_of(self, name: str) -> str:
        """Answer the newest text of a stored strategy. Raises NotFound."""

    def names(self) -> list[str]:
        """Answer the names of the stored strategies, in order."""


class Means(Enum):
    """What a reference is."""

    TEXT = "text"
    FILE = "file"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class StrategyRef:
    """A reference as it was given, and what it is."""

    given: str
    means: Means

    @classmethod
    def remote(cls, given: str) -> StrategyRef:
        """Read a reference from elsewhere, which never means a file: what has lines or a colon is a text."""
        return cls(given, Means.TEXT if "\n" in given or ":" in given else Means.NAME)

    @classmethod
    def local(cls, given: str | Path) -> StrategyRef:
        """Read a reference of somebody on this machine: what names a file, or ends like one, is a file."""
        text = str(given)
        if "\n" in text:  # a document, unless there is a file of that very name
            is_named = isinstance(given, Path) or os.path.isfile(text)
        else:
            is_named = isinstance(given, Path) or text.endswith(_ENDINGS) or is_file(Path(text), "strategy")
        return cls(text, Means.FILE) if is_named else cls.remote(text)

    def text(self, stored: TextsByName | None = None) -> str:
        """Answer the document's text. Raises InvalidInput when there is none."""
        if self.means is Means.TEXT:
            return self.given
        if self.means is Means.FILE:
            return read_document_file(Path(self.given)).text
        try:
            if stored is None:
                raise NotFound(f"'{self.given[:60]}' is no document and no file", "give a document's text or its file")
            return stored.text_of(self.given)
        except NotFound as error:
            raise InvalidInput(error.message, error.remedy, "strategy") from None
