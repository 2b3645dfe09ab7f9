"""The rows of the table of reconciliations, by unit: those that were read from it are packed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass

from bedrock_spark.outputs.packed_texts import PackedTexts
from bedrock_spark.outputs.reconciled_shard import ReconciledShard


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A reconciliation without its lists of records, as JSON.

    version: of the object that it was made of
    """

    version: str
    reconciled: bytes

    def decode(self) -> ReconciledShard:
        """Return the reconciliation. Raises msgspec.DecodeError if it is of another format."""
        return ReconciledShard.from_json(self.reconciled)


class StoredRows(MutableMapping[str, StoredRow]):
    """Rows by unit. To read all of them in the order of units costs less than in another order.

    texts: reconciliations as JSON, sorted by their units; units, versions: of each of them
    """

    def __init__(
        self,
        texts: PackedTexts | None = None,
        units: Iterable[str] = (),
        versions: Sequence[str] = (),
    ) -> None:
        self._texts = PackedTexts() if texts is None else texts
        self._places = {unit: place for place, unit in enumerate(units)}
        self._versions = versions
        # The rows that are not among the texts.
        self._others: dict[str, StoredRow] = {}

    def __getitem__(self, unit: str) -> StoredRow:
        place = self._places.get(unit)
        if place is None:
            return self._others[unit]
        return StoredRow(self._versions[place], self._texts[place])

    def __setitem__(self, unit: str, row: StoredRow) -> None:
        self._places.pop(unit, None)
        self._others[unit] = row

    def __delitem__(self, unit: str) -> None:
        if self._places.pop(unit, None) is None:
            del self._others[unit]

    def __iter__(self) -> Iterator[str]:
        yield from self._places
        yield from self._others

    def __len__(self) -> int:
        return len(self._places) + len(self._others)

    def none(self) -> StoredRows:
        """Return no rows, to which `move` can move those of this object."""
        return StoredRows(self._texts, (), self._versions)

    def move(self, unit: str, to: StoredRows) -> None:
        """Move the row of a unit to rows that `none` has returned. Raises KeyError without one."""
        to._places[unit] = self._places.pop(unit)
        to._others.pop(unit, None)

    def in_order(self) -> PackedTexts:
        """Return the reconciliations as JSON, sorted by their units."""
        if not self._others and len(self._places) == len(self._texts):
            return self._texts
        return PackedTexts(self[unit].reconciled for unit in sorted(self))
