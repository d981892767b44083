"""Recursive indicators: a value made of the value before it, by a small program that is run once a bar."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitboss.kernel.compiling import compiled

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
BOOL = npt.NDArray[np.bool_]

(
    CONSTANT, INPUT, PAST, ADD, SUBTRACT, MULTIPLY, DIVIDE, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, EQUAL, NOT_EQUAL,
    AND, OR, NOT, NEGATIVE, ABSOLUTE, MAXIMUM, MINIMUM, WHERE,
) = range(21)  # fmt: skip


@compiled
def recurred(start: F64, is_known: BOOL, inputs: F64, codes: I64, operands: F64, most: float) -> tuple[F64, int]:
    """Answer a recursive indicator, and the first bar at which it is beyond `most`, -1 where it never is.

    start: (N,) its value where there is none before it; is_known: (N,) where it has one; inputs: (inputs, N) what its
    program reads; codes, operands: the program in postfix order. Conditions are 0 and 1. After a NaN it starts again.
    """
    out = np.full(len(start), np.nan)
    stack = np.empty(len(codes) + 1)
    past = np.nan
    for i in range(len(start)):
        if not is_known[i]:
            past = np.nan
        elif np.isnan(past):
            past = start[i]
        else:
            past = _step(stack, inputs, codes, operands, past, i)
        out[i] = past
        if abs(past) > most:
            return out, i
    return out, -1


@compiled
def _step(stack: F64, inputs: F64, codes: I64, operands: F64, past: float, i: int) -> float:
    top = -1
    for j in range(len(codes)):
        code = codes[j]
        if code <= PAST:
            top += 1
            stack[top] = past if code == PAST else operands[j] if code == CONSTANT else inputs[int(operands[j]), i]
            continue
        if code == NOT:
            stack[top] = 1.0 - stack[top]
        elif code == NEGATIVE:
            stack[top] = -stack[top]
        elif code == ABSOLUTE:
            stack[top] = abs(stack[top])
        elif code == WHERE:
            top -= 2
            stack[top] = stack[top + 1] if stack[top] != 0.0 else stack[top + 2]
        else:
            top -= 1
            stack[top] = _of_two(code, stack[top], stack[top + 1])
    return float(stack[0])


@compiled
def _of_two(code: int, a: float, b: float) -> float:
    if code == ADD:
        return a + b
    if code == SUBTRACT:
        return a - b
    if code == MULTIPLY:
        return a * b
    if code == DIVIDE:
        return a / b if b != 0.0 else np.nan
    if code in (MAXIMUM, MINIMUM):
        if np.isnan(a) or np.isnan(b):
            return np.nan
        return max(a, b) if code == MAXIMUM else min(a, b)
    if code == AND:
        return a * b
    if code == OR:
        return max(a, b)
    if code == LESS:
        return 1.0 if a < b else 0.0
    if code == LESS_EQUAL:
        return 1.0 if a <= b else 0.0
    if code == GREATER:
        return 1.0 if a > b else 0.0
    if code == GREATER_EQUAL:
        return 1.0 if a >= b else 0.0
    if code == EQUAL:
        return 1.0 if a == b else 0.0
    return 1.0 if a < b or a > b else 0.0
