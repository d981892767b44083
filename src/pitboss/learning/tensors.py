"""Files of arrays, as safetensors: names, shapes and bytes, and no code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pitboss.core.errors import InvalidInput

Arrays = dict[str, npt.NDArray[Any]]


def packed(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Answer the file of arrays: the same arrays give the same bytes."""
    return save({name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())})


def unpacked(content: bytes, *named: str) -> Arrays:
    """Answer the arrays of a file. Raises InvalidInput where it is damaged, or lacks one that is named."""
    try:
        found: Arrays = load(content)
    except (SafetensorError, ValueError):
        raise InvalidInput("the file is no file of arrays, or is damaged", "train the model again") from None
    if lost := [name for name in named if name not in found]:
        raise InvalidInput(f"the file of the model has no {', '.join(lost)}", "train the model again")
    return found
