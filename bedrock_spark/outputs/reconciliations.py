"""The reconciliations of a run: one table, and one object per shard that the table may lag behind.

A shard's object commits it; a task writes it. After all tasks the table is written: a line per
shard with the version of the object that it was made of, and without the shard's lists of records.
So a reader lists the objects, 1,000 a call, and reads only those whose version is not the table's:
none, unless a collect was killed. That also holds if two processes write the table at once. A table
that is missing, damaged or old costs time, and nothing else.
"""

from __future__ import annotations

import gzip
import io
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import msgspec

from bedrock_spark.garbage import garbage_collection_paused
from bedrock_spark.outputs.reconciled_shard import (
    ReconciledShard,
    damaged,
    decode_reconciled,
    read_reconciled,
)
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage, calls_at_once

log = logging.getLogger(__name__)

T = TypeVar("T", bound=msgspec.Struct)

_FORMAT = 1
_DAMAGE = (OSError, EOFError, zlib.error, msgspec.DecodeError)
# Higher levels take four times as long for a tenth of the bytes.
_GZIP_LEVEL = 1


class _Head(msgspec.Struct, frozen=True):
    format: int


class _Line(msgspec.Struct, frozen=True):
    """A line of the table."""

    unit: str
    version: str
    reconciled: msgspec.Raw


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


class Reconciliations(Sequence[ReconciledShard]):
    """The reconciliations of all units, sorted by their names.

    Each is decoded when it is read: as JSON it takes a quarter of the memory. Then RunFolderError
    is raised if it is of another format.

    uri: of the run folder, for messages
    """

    def __init__(self, rows: Mapping[str, StoredRow], uri: str) -> None:
        self._rows = [rows[unit].reconciled for unit in sorted(rows)]
        self._uri = uri

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> ReconciledShard: ...
    @overload
    def __getitem__(self, index: slice) -> list[ReconciledShard]: ...
    def __getitem__(self, index: int | slice) -> ReconciledShard | list[ReconciledShard]:
        if isinstance(index, slice):
            return [decode_reconciled(row, self._uri) for row in self._rows[index]]
        return decode_reconciled(self._rows[index], self._uri)

    def __iter__(self) -> Iterator[ReconciledShard]:
        return (decode_reconciled(row, self._uri) for row in self._rows)

    def decoded(self, kind: type[T]) -> Iterator[T]:
        """Yield every reconciliation as a struct that has a part of its members.

        That takes a fraction of the time. Raises RunFolderError if one is of another format.
        """
        decode = msgspec.json.Decoder(kind).decode
        for row in self._rows:
            try:
                yield decode(row)
            except msgspec.MsgspecError as exc:
                raise damaged(self._uri, exc) from exc


@garbage_collection_paused()
def list_versions(storage: Storage) -> dict[str, str]:
    """Return the version of every unit's object, by unit."""
    prefix = f"{layout.RECONCILIATION}/"
    return {layout.unit_of(stored.key): stored.version for stored in storage.scan(prefix)}


@garbage_collection_paused()
def read_table(storage: Storage) -> dict[str, StoredRow]:
    """Return the rows of the table by unit, whether or not they are up to date.

    Returns none of a table that is missing or damaged, or that another version wrote.
    """
    data = storage.read_if_present(layout.RECONCILIATIONS_FILE)
    try:
        return {line.unit: StoredRow(line.version, bytes(line.reconciled)) for line in _lines(data)}
    except _DAMAGE as exc:
        _log_damage(storage, exc)
        return {}


def _lines(data: bytes | None) -> Iterator[_Line]:
    """Yield the lines of a table; none if there is none, or if another version wrote it.

    Raises one of _DAMAGE if it is damaged, at its end at the latest: its checksum is there.
    """
    if data is None:
        return
    with gzip.open(io.BytesIO(data)) as lines:
        if msgspec.json.decode(lines.readline(), type=_Head).format == _FORMAT:
            yield from map(msgspec.json.Decoder(_Line).decode, lines)


def _log_damage(storage: Storage, exc: Exception) -> None:
    log.info("%s/%s: is not used: %s", storage.uri, layout.RECONCILIATIONS_FILE, exc)


@garbage_collection_paused()
def write_table(storage: Storage, rows: Mapping[str, StoredRow]) -> None:
    """Write the whole table."""
    sink = io.BytesIO()
    with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0) as table:
        table.write(msgspec.json.encode(_Head(_FORMAT)) + b"\n")
        for unit in sorted(rows):
            row = rows[unit]
            line = _Line(unit, row.version, msgspec.Raw(row.reconciled))
            table.write(msgspec.json.encode(line) + b"\n")
    storage.write(layout.RECONCILIATIONS_FILE, sink.getvalue())


def read_reconciliations(storage: Storage) -> Reconciliations:
    """Return every reconciliation in the run folder, without its lists of records.

    One listing, the table, and one read for each object that the table does not cover.
    """
    with calls_at_once(storage) as calls:
        listing = calls.begin(list_versions, storage)
        table = calls.begin(read_table, storage)
    rows = dict(_current_rows(storage, listing.result(), table.result()))
    return Reconciliations(rows, storage.uri)


@garbage_collection_paused()
def find_reconciliations(
    storage: Storage, kind: type[T], is_wanted: Callable[[T], bool]
) -> list[T]:
    """Return the reconciliations that are wanted, in no order, as structs of a part of its members.

    It calls the storage as `read_reconciliations` does. Memory holds those that are wanted, and the
    versions of all units. Raises RunFolderError if one is of another format.
    """
    with calls_at_once(storage) as calls:
        listing = calls.begin(list_versions, storage)
        table = calls.begin(storage.read_if_present, layout.RECONCILIATIONS_FILE)
    decode, versions, data = msgspec.json.Decoder(kind).decode, listing.result(), table.result()
    found, left = [], versions.copy()
    try:
        # Nothing of it is used before its checksum, which is at its end.
        for line in _lines(data):
            if left.get(line.unit) == line.version:
                del left[line.unit]
                part = decode(line.reconciled)
                if is_wanted(part):
                    found.append(part)
    except _DAMAGE as exc:
        _log_damage(storage, exc)
        found, left = [], versions
    try:
        newer = (decode(storage.read(layout.reconciliation_key(unit))) for unit in left)
        return [*found, *filter(is_wanted, newer)]
    except msgspec.MsgspecError as exc:
        raise damaged(storage.uri, exc) from exc


def _current_rows(
    storage: Storage, versions: Mapping[str, str], rows: Mapping[str, StoredRow]
) -> Iterable[tuple[str, StoredRow]]:
    for unit, version in versions.items():
        row = rows.get(unit)
        if row is None or row.version != version:
            reconciled = read_reconciled(storage, unit)
            row = StoredRow(version, reconciled.without_ids().to_json())
        yield unit, row
