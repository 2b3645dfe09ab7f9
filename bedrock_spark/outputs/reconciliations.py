"""The reconciliations of a run: one table, and one object per shard that the table may lag behind.

A shard's object commits it; a task writes it. After all tasks the table is written: a line per
shard with the version of the object that it was made of, and without the shard's lists of records.
So a reader lists the objects, 1,000 a call, and reads only those whose version is not the table's:
none, unless a collect was killed. That also holds if two processes write the table at once. A table
that is missing, damaged or old costs time, and nothing else.
"""

from __future__ import annotations

import gzip
import heapq
import io
import logging
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import msgspec

from bedrock_spark.garbage import garbage_collection_paused
from bedrock_spark.outputs.packed_texts import PackedTexts
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


class _OutOfOrderError(ValueError):
    """The lines of a table are not sorted. Only this module raises and catches it."""


_DAMAGE = (OSError, EOFError, zlib.error, msgspec.DecodeError, _OutOfOrderError)
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

    Each is decoded when it is read: as compressed JSON it takes a fortieth of the memory. Then
    RunFolderError is raised if it is of another format. It costs less to read all than some.

    rows: as JSON, sorted by the names of the units; uri: of the run folder, for messages
    """

    def __init__(self, rows: PackedTexts, uri: str) -> None:
        self._rows = rows
        self._uri = uri

    @classmethod
    def of(cls, rows: Mapping[str, StoredRow], uri: str) -> Reconciliations:
        """Return the reconciliations of these units."""
        return cls(PackedTexts(rows[unit].reconciled for unit in sorted(rows)), uri)

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
        if msgspec.json.decode(lines.readline(), type=_Head).format != _FORMAT:
            return
        decode, before = msgspec.json.Decoder(_Line).decode, ""
        for text in lines:
            line = decode(text)
            if line.unit <= before:
                raise _OutOfOrderError(f"{line.unit} is after {before}")
            yield line
            before = line.unit


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
    versions, data = _read_both(storage)
    units: list[str] = []
    try:
        rows = PackedTexts(_current_rows(data, versions, units))
    except _DAMAGE as exc:
        _log_damage(storage, exc)
        units, rows = [], PackedTexts()
    for unit in units:
        del versions[unit]
    if versions:
        newer = ((unit, read_reconciled(storage, unit)) for unit in sorted(versions))
        texts = ((unit, reconciled.without_ids().to_json()) for unit, reconciled in newer)
        both = heapq.merge(zip(units, rows, strict=True), texts)
        rows = PackedTexts(text for _, text in both)
    return Reconciliations(rows, storage.uri)


def _read_both(storage: Storage) -> tuple[dict[str, str], bytes | None]:
    """Return the version of every unit's object, and the table as it is stored."""
    with calls_at_once(storage) as calls:
        listing = calls.begin(list_versions, storage)
        table = calls.begin(storage.read_if_present, layout.RECONCILIATIONS_FILE)
    return listing.result(), table.result()


def _current_rows(
    data: bytes | None, versions: Mapping[str, str], units: list[str]
) -> Iterator[bytes]:
    """Yield the rows of a table that are up to date; add the unit of each to `units`."""
    for line in _lines(data):
        if versions.get(line.unit) == line.version:
            units.append(line.unit)
            yield bytes(line.reconciled)


@garbage_collection_paused()
def find_reconciliations(
    storage: Storage, kind: type[T], is_wanted: Callable[[T], bool]
) -> list[T]:
    """Return the reconciliations that are wanted, in no order, as structs of a part of its members.

    It calls the storage as `read_reconciliations` does. Memory holds those that are wanted, and the
    versions of all units. Raises RunFolderError if one is of another format.
    """
    versions, data = _read_both(storage)
    decode, found, left = msgspec.json.Decoder(kind).decode, [], versions.copy()
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
