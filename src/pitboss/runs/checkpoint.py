"""The file of a checkpoint: plain values as JSON, arrays as their bytes; never pickle.

Four bytes of length, a header in JSON that says where each array lies, then the arrays, one after the other.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pitboss.core.errors import InvalidInput

_LENGTH = struct.Struct("!I")


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state: its values are what JSON can say, or arrays as anything that gives its bytes.

    Raises InvalidInput for a value that is neither.
    """
    values, places, arrays = {}, {}, []
    at = 0
    for name, value in state.items():
        if isinstance(value, bytes | bytearray | memoryview):
            array = memoryview(value).cast("B") if len(value) else memoryview(b"")
            places[name] = [at, len(array)]
            arrays.append(array)
            at += len(array)
        else:
            values[name] = value
    try:
        header = json.dumps({"values": values, "arrays": places}, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the state of the run cannot be saved: {error}", "keep to JSON and bytes") from None
    with path.open("wb") as file:
        file.write(_LENGTH.pack(len(header)) + header)
        for array in arrays:
            file.write(array)


def read_state(path: Path) -> dict[str, Any]:
    """Answer the state of a file whose digest was checked; arrays come as bytes."""
    content = memoryview(path.read_bytes())
    (length,) = _LENGTH.unpack_from(content)
    start = _LENGTH.size + length
    header = json.loads(bytes(content[_LENGTH.size : start]))
    arrays = {name: bytes(content[start + at : start + at + size]) for name, (at, size) in header["arrays"].items()}
    return {**header["values"], **arrays}


def plain_identity(params: Mapping[str, Any], source: str) -> dict[str, str]:
    """Answer what decides the result of a kind that says nothing else: its params, and the package it comes from."""
    digest = hashlib.blake2b(json.dumps(params, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()
    return {"the params": digest, "the kind's package": source}


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say in words in what two identities differ, nothing when they are equal."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return [f"{name} was {before.get(name, 'absent')} and is {now.get(name, 'absent')}" for name in names]
