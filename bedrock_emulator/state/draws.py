"""Chance that can be replayed: a number from a seed and the name of what is drawn for.

No generator with a state is used, because requests arrive in another order every time: what
happens to record `A1` of job `j` must not depend on which thread asked first.
"""

from __future__ import annotations

import hashlib
import json
import string
from typing import Any

_ALPHABET = string.digits + string.ascii_lowercase
_RECORD_ALPHABET = string.digits + string.ascii_uppercase


def _number(seed: int, parts: tuple[object, ...]) -> int:
    text = "\x1f".join([str(seed), *(str(part) for part in parts)])
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def draw(seed: int, *parts: object) -> float:
    """Return a number in [0, 1) that depends on the seed and the parts only."""
    return _number(seed, parts) / 2**64


def draw_int(seed: int, *parts: object) -> int:
    """Return a 64-bit number that depends on the seed and the parts only."""
    return _number(seed, parts)


def draw_id(seed: int, *parts: object, length: int = 12) -> str:
    """Return lower-case letters and digits, as in the last segment of Bedrock's ARNs."""
    return _spell(_number(seed, parts), _ALPHABET, length)


def draw_record_id(seed: int, *parts: object) -> str:
    """Return 11 letters and digits: the id Bedrock is documented to add to a record without one."""
    return _spell(_number(seed, parts), _RECORD_ALPHABET, 11)


def body_digest(body: Any) -> str:
    """Return a digest of a JSON value in which key order and spacing do not count."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _spell(number: int, alphabet: str, length: int) -> str:
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(alphabet))
        letters.append(alphabet[rest])
    return "".join(letters)
