"""The wanted rows of one unit or of a sample, as a whole: counted, and sorted if that is asked for.

To sort all rows of a run, all of it would be read. So only what a page can read is sorted: one
unit, or a sample of row groups that are spread over the run. The sample is the same every time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.browse.opened_runs import OpenedRun
from bedrock_spark.browse.row_filter import RowFilter
from bedrock_spark.browse.row_pages import PAGE_ROWS, FoundRow, list_columns, units_of, wanted_rows
from bedrock_spark.browse.unit_file import Place, UnitFile
from bedrock_spark.errors import ConfigError, RunFolderError

# The row groups of a sample.
SAMPLE_GROUPS = 24


@dataclass(frozen=True)
class Order:
    """A column to sort by. Rows without a value come last."""

    column: str
    is_descending: bool = False


@dataclass(frozen=True)
class RowSet:
    """A page of the wanted rows of a unit or a sample.

    rows: of the page; columns: those that were read, in order
    found: the number of wanted rows in all; read_rows: the rows among which they were looked for
    units: how many units these are of
    problems: units whose results cannot be read, with the reason
    """

    rows: tuple[FoundRow, ...]
    columns: tuple[str, ...]
    found: int
    read_rows: int
    units: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Wanted:
    """The wanted rows of a row group, with their values in the column to sort by."""

    unit: str
    group: int
    rows: npt.NDArray[np.int64]
    values: pa.ChunkedArray | None


def read_set(
    opened: OpenedRun,
    wanted: RowFilter,
    *,
    unit: str | None = None,
    order: Order | None = None,
    first: int = 0,
    most: int = PAGE_ROWS,
) -> RowSet:
    """Return a page of the wanted rows of a unit; of a sample if that is None.

    order: None for the order of units; first: how many rows the pages before have
    Raises ConfigError for a column or a unit that does not exist, or a column of lists.
    """
    problems: list[str] = []
    parts: list[_Wanted] = []
    read_rows, units = 0, set()
    for file, group in groups_of(opened, wanted, unit, problems):
        units.add(file.unit)
        read_rows += file.rows(group)
        if not wanted.may_be_in(file.metadata(group), opened.run.config.results):
            continue
        try:
            rows = wanted_rows(file, group, wanted, opened)
            values = _values(file, group, rows, order)
        except RunFolderError as exc:
            problems.append(str(exc))
            continue
        if len(rows):
            parts.append(_Wanted(file.unit, group, rows, values))
    places = _sorted(parts, order, first, most)
    rows_of_page, columns = _read(opened, places, problems)
    found = sum(len(part.rows) for part in parts)
    return RowSet(rows_of_page, columns, found, read_rows, len(units), tuple(problems))


def sampled_groups(
    opened: OpenedRun, wanted: RowFilter, most: int = SAMPLE_GROUPS
) -> list[tuple[str, int]]:
    """Return the units of a sample, each with how many of its row groups are read.

    They are spread over the units that may have wanted rows.
    """
    candidates = units_of(opened, wanted, None)
    chosen = min(most, len(candidates))
    places = [candidates[i * len(candidates) // chosen] for i in range(chosen)]
    return [
        (opened.counts.units[place], most // chosen + (i < most % chosen))
        for i, place in enumerate(places)
    ]


def groups_of(
    opened: OpenedRun, wanted: RowFilter, unit: str | None, problems: list[str] | None = None
) -> Iterator[tuple[UnitFile, int]]:
    """Yield the row groups of a unit; of a sample if that is None.

    problems: takes the reason for each unit that cannot be read; None: RunFolderError is raised
    """
    if unit is not None:
        units_of(opened, wanted, unit)  # raises if there is no such unit
        chosen: Iterable[tuple[str, int | None]] = [(unit, None)]
    else:
        chosen = sampled_groups(opened, wanted)
    for name, most in chosen:
        try:
            file = UnitFile(opened.run.storage, name)
        except RunFolderError as exc:
            if problems is None:
                raise
            problems.append(str(exc))
            continue
        with file:
            yield from ((file, group) for group in _spread(file, most))


def _spread(file: UnitFile, most: int | None) -> Sequence[int]:
    """Return row groups of a file: all, or `most` that are spread over it.

    One group is another one in each file: else a sample would have only first groups.
    """
    if most is None or most >= file.groups:
        return range(file.groups)
    if most == 1:
        return [crc32(file.unit.encode()) % file.groups]
    return [i * file.groups // most for i in range(most)]


def _values(
    file: UnitFile, group: int, rows: npt.NDArray[np.int64], order: Order | None
) -> pa.ChunkedArray | None:
    if order is None:
        return None
    if order.column not in file.schema.names:
        raise ConfigError(
            f"sort {order.column}: the results have no such column; they have "
            f"{', '.join(file.schema.names)}"
        )
    kind = file.schema.field(order.column).type
    if pa.types.is_nested(kind):
        raise ConfigError(f"sort {order.column}: holds lists or structures, which have no order")
    return file.read(group, [order.column]).column(0).take(pa.array(rows))


def _sorted(parts: Sequence[_Wanted], order: Order | None, first: int, most: int) -> list[Place]:
    """Return the places of the rows of a page, in order."""
    numbers = [np.full(len(part.rows), i, np.int64) for i, part in enumerate(parts)]
    if not parts:
        return []
    number, row = np.concatenate(numbers), np.concatenate([part.rows for part in parts])
    chosen: npt.NDArray[np.int64] = np.arange(len(row))
    if order is not None:
        chunks = [chunk for p in parts if p.values is not None for chunk in p.values.chunks]
        if any(chunk.type != chunks[0].type for chunk in chunks):
            raise RunFolderError(
                f"sort {order.column}: the shards have different columns, because the config's "
                "results section has changed; run bedrock-spark collect again"
            )
        values = pa.chunked_array(chunks)
        way = "descending" if order.is_descending else "ascending"
        # Rows with equal values keep the order of units: the position is the second key.
        table = pa.table({"value": values, "position": chosen})
        keys = [("value", way), ("position", "ascending")]
        chosen = pc.sort_indices(table, keys).to_numpy()
    return [
        Place(parts[number[i]].unit, parts[number[i]].group, int(row[i]))
        for i in chosen[first : first + most].tolist()
    ]


def _read(
    opened: OpenedRun, places: Sequence[Place], problems: list[str]
) -> tuple[tuple[FoundRow, ...], tuple[str, ...]]:
    """Return rows with their values, in the order of `places`: each file is opened once.

    Rows of a unit that cannot be read are left out; problems takes the reason.
    """
    columns: dict[str, None] = {}
    values: dict[Place, dict[str, Any]] = {}
    ordered = sorted(places, key=lambda place: (place.unit, place.group, place.row))
    for unit, of_unit in groupby(ordered, key=lambda place: place.unit):
        try:
            with UnitFile(opened.run.storage, unit) as file:
                names = list_columns(opened, file.schema)
                columns.update(dict.fromkeys(names))
                for group, of_group in groupby(of_unit, key=lambda place: place.group):
                    own = list(of_group)
                    table = file.take(group, [place.row for place in own], names)
                    values.update(zip(own, table.to_pylist(), strict=True))
        except RunFolderError as exc:
            problems.append(str(exc))
    read = (FoundRow(place, values[place]) for place in places if place in values)
    return tuple(read), tuple(columns)
