"""What an expression can be: a constant, a series of numbers, a condition, or something that needs a `.line`."""

from __future__ import annotations

from enum import Enum


class ValueType(Enum):
    """The type of an expression, worded as messages name it."""

    NUMBER = "a number"
    PERCENT = "a per cent value"
    SERIES = "a series"
    CONDITION = "a condition"
    TEXT = "a text"
    LINES = "an indicator with several lines"
    SYMBOL = "another symbol"
    MODEL = "a model"
    UNKNOWN = "unknown"  # after a mistake that is already reported; fits everywhere

    @property
    def is_constant(self) -> bool:
        return self in (ValueType.NUMBER, ValueType.PERCENT, ValueType.UNKNOWN)

    @property
    def is_numeric(self) -> bool:
        return self.is_constant or self is ValueType.SERIES
