"""Reproducible random choices: numbers computed from a seed and a key.

This is a counter-based random number generator, with a BLAKE2b hash of seed and key. It has no
state, because requests arrive in a different order in each run: what happens to record `A1` of job
`j` must not depend on which thread came first.
https://en.wikipedia.org/wiki/Counter-based_random_number_generator
"""

from __future__ import annotations

import hashlib
import json
import string
from typing import Any

_ALPHABET = string.digits + string.ascii_lowercase
_RECORD_ALPHABET = string.digits + string.ascii_uppercase


def draw(seed: int, *key: object) -> float:
    """Return a number, uniform in [0, 1), that depends only on the seed and the key."""
    return draw_int(seed, *key) / 2**64


def draw_int(seed: int, *key: object) -> int:
    """Return a 64-bit number that depends only on the seed and the key."""
    text = "\x1f".join([str(seed), *(str(value) for value in key)])
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def draw_id(seed: int, *key: object, length: int = 12) -> str:
    """Return lower-case letters and digits, like the last segment of Bedrock's ARNs."""
    return _in_alphabet(draw_int(seed, *key), _ALPHABET, length)


def draw_record_id(seed: int, *key: object) -> str:
    """Return 11 upper-case letters and digits: the id of a record that came without one.

    AWS documents that Bedrock adds such an id.
    """
    return _in_alphabet(draw_int(seed, *key), _RECORD_ALPHABET, 11)


def body_digest(body: Any) -> str:
    """Return a digest of a JSON value that does not depend on the order of its keys."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _in_alphabet(number: int, alphabet: str, length: int) -> str:
    """Return the `length` lowest digits of a number, the lowest first, in base `len(alphabet)`."""
    letters = []
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        letters.append(alphabet[digit])
    return "".join(letters)
