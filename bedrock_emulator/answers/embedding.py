"""Unit vectors for texts: equal texts are equal, texts that share words are nearer.

Every word has a fixed pseudo-random direction; a text is the normalised sum of its words.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
from array import array

_WORD = re.compile(r"\w+")


def embed_words(model_id: str, text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 (to within rounding) for any text, the empty one too."""
    words = _WORD.findall(text.lower()) or [f"\x00{text}"]
    total = [0.0] * dimensions
    for word in set(words):
        weight = 1.0 + math.log(words.count(word))
        for index, value in enumerate(_direction(word, dimensions)):
            total[index] += weight * value
    # A trace of the exact text, so that other orders of the same words are near but not equal.
    for index, value in enumerate(_direction(f"\x01{model_id}\x1f{text}", dimensions)):
        total[index] += 0.05 * value
    norm = math.sqrt(math.fsum(value * value for value in total))
    return [round(value / norm, 8) for value in total]


@functools.lru_cache(maxsize=4096)
def _direction(word: str, dimensions: int) -> array[float]:
    stream = hashlib.shake_128(word.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    numbers = array("h", stream)
    return array("f", (number / 32768.0 for number in numbers))
