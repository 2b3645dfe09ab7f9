"""Many similar texts in little memory: they are compressed by the hundred, and read by need."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

# More texts in a group are hardly smaller together, and to read a single one takes longer.
_GROUP = 256
# Higher levels take several times as long for a fifth of the bytes.
_LEVEL = 1
_BETWEEN = b"\n"


class PackedTexts(Sequence[bytes]):
    """Texts without line breaks, such as JSON that is written without spaces, in their order."""

    def __init__(self, texts: Iterable[bytes] = ()) -> None:
        self._groups: list[bytes] = []
        self._count = 0
        left = iter(texts)
        while group := list(islice(left, _GROUP)):
            whole = _BETWEEN.join(group)
            if whole.count(_BETWEEN) != len(group) - 1:
                raise ValueError("a text to pack has a line break")
            self._groups.append(zlib.compress(whole, _LEVEL))
            self._count += len(group)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """Return a text: its group is decompressed. Raises IndexError if there is none."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(self._count))]
        place = range(self._count)[index]
        return _texts_of(self._groups[place // _GROUP])[place % _GROUP]

    def __iter__(self) -> Iterator[bytes]:
        for group in self._groups:
            yield from _texts_of(group)


def _texts_of(group: bytes) -> list[bytes]:
    return zlib.decompress(group).split(_BETWEEN)
