"""Who asks. Every service method that reads or changes something of an owner takes a principal first."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Rights(IntEnum):
    """How much somebody may do; each level holds those before it."""

    READ = 1  # see what is theirs, and what is shared with them
    RUN = 2  # make runs, strategies and series of their own
    ADMINISTER = 3  # see to everybody's things, and to the engine as a whole


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who is known: `name` owns what they make.

    `via` is the token or the session that they came with, as it may be shown; `address` is where from.
    """

    name: str
    rights: Rights = Rights.RUN
    via: str = ""
    address: str = ""

    @property
    def is_operator(self) -> bool:
        """True for who may see to the engine as a whole."""
        return self.rights is Rights.ADMINISTER

    def owns(self, owner: str) -> bool:
        """Answer whether something of `owner` is theirs."""
        return self.name == owner


LOCAL = Principal("local", Rights.ADMINISTER)  # whoever works on this machine, where there are no accounts
