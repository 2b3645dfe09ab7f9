"""Unit vectors for texts by random indexing: texts that share words are near each other.

Every word has a fixed pseudo-random direction. The vector of a text is

    sum over its words of (1 + ln count(word)) direction(word) + 0.05 direction(model and text)

scaled to length 1. Equal texts have equal vectors.

https://en.wikipedia.org/wiki/Random_indexing
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
from array import array

_WORD = re.compile(r"\w+")


def embed_words(model_id: str, text: str, dimensions: int) -> list[float]:
    """Return a vector of `dimensions` numbers for any text, even an empty one.

    Its length is 1, up to rounding.
    """
    words = _WORD.findall(text.lower()) or [f"\x00{text}"]
    total = [0.0] * dimensions
    for word in set(words):
        weight = 1.0 + math.log(words.count(word))
        for index, value in enumerate(_direction(word, dimensions)):
            total[index] += weight * value
    # A small share of the exact text: the same words in another order are near, but not equal.
    for index, value in enumerate(_direction(f"\x01{model_id}\x1f{text}", dimensions)):
        total[index] += 0.05 * value
    norm = math.sqrt(math.fsum(value * value for value in total))
    return [round(value / norm, 8) for value in total]


@functools.lru_cache(maxsize=4096)
def _direction(word: str, dimensions: int) -> array[float]:
    """Return the direction of a word: numbers in [-1, 1), two bytes of its hash for each."""
    stream = hashlib.shake_128(word.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    numbers = array("h", stream)
    return array("f", (number / 32768.0 for number in numbers))
