"""Who asks. Every service method that reads or changes something of an owner takes a principal first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who is known: `name` owns what they make. `is_operator` may see to the engine as a whole."""

    name: str
    is_operator: bool = False

    def owns(self, owner: str) -> bool:
        """Answer whether something of `owner` is theirs."""
        return self.name == owner


LOCAL = Principal("local", is_operator=True)  # whoever works on this machine, where there are no accounts
