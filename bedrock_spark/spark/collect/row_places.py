"""Which source rows belong to a record: one, or several with the same key or the same body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import msgspec


class Places(msgspec.Struct, frozen=True, gc=False):
    """The source rows of some records.

    rows: the positions of the rows, record by record
    records: the number of the record of each row, from 0; None if each record has one row
    """

    rows: list[int]
    records: list[int] | None = None


def flatten(places: Iterable[Sequence[int]]) -> Places:
    """Return the places of records whose rows are known one record at a time."""
    own = list(places)
    records = [number for number, rows in enumerate(own) for _ in rows]
    return Places(list(chain.from_iterable(own)), records)


class RowPlaces:
    """The positions of the rows of each record.

    ids: the record id of each row, in the order of the rows
    expected: the number of rows of each record
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._last = dict(zip(ids, range(len(ids)), strict=True))
        self._shared: dict[str, list[int]] = {}
        expected = dict.fromkeys(self._last, 1)
        if len(self._last) < len(ids):
            for place, record_id in enumerate(ids):
                if self._last[record_id] != place:
                    self._shared.setdefault(record_id, []).append(place)
            for record_id, own in self._shared.items():
                own.append(self._last[record_id])
                expected[record_id] = len(own)
        self.expected: Mapping[str, int] = expected

    def of(self, record_id: str) -> Sequence[int]:
        """Return the positions of the rows of one record."""
        return self._shared.get(record_id) or (self._last[record_id],)

    def of_many(self, record_ids: Sequence[str]) -> Places:
        """Return the positions of the rows of records."""
        if self._shared:
            return flatten(map(self.of, record_ids))
        return Places([self._last[record_id] for record_id in record_ids])
