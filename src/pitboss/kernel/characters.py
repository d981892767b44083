"""Characters, words and digits in bytes of text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitboss.kernel.compiling import compiled

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


def numbered(*words: str) -> I64:
    """Answer words as `word_at` does."""
    return np.array([int.from_bytes(word.encode(), "big") for word in words])


@compiled
def is_digit(c: int) -> bool:
    return 48 <= c <= 57


@compiled
def is_letter(c: int) -> bool:
    return 97 <= (c | 32) <= 122


@compiled
def is_space(c: int) -> bool:
    return c == 32 or c == 9 or c == 34 or c == 39 or c == 13


@compiled
def past_space(text: U8, i: int, end: int) -> int:
    while i < end and (is_space(text[i]) or text[i] == 44):
        i += 1
    return i


@compiled
def past_word(text: U8, i: int, end: int) -> int:
    while i < end and (is_letter(text[i]) or text[i] == 46):
        i += 1
    return i


@compiled
def word_at(text: U8, i: int, end: int, most: int) -> int:
    """Answer the letters from i on, at most `most`, as one number of lower-case bytes."""
    word = 0
    for k in range(i, min(i + most, end)):
        if not is_letter(text[k]):
            break
        word = word << 8 | text[k] | 32
    return word


@compiled
def index_of(words: I64, word: int) -> int:
    for k in range(len(words)):
        if words[k] == word:
            return k
    return -1


@compiled
def digits(text: U8, i: int, end: int) -> tuple[int, int]:
    """Answer the number from i on and where its digits end; of more than 18 digits the first 18."""
    number = 0
    first = i
    while i < end and is_digit(text[i]):
        if i - first < 18:
            number = number * 10 + text[i] - 48
        i += 1
    return number, i
