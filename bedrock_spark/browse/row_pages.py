"""Pages of the rows of a run, in the order of its units, without a scan of all results.

A page begins at a place: unit, row group, row. So the next page costs the same everywhere. Units
are skipped by the counts of their reconciliations, row groups by their Parquet statistics; of a
group that is left, the columns of the filter are read first. A page reads a bounded number of row
groups. If they are used up, it says how far it has looked, and where to go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from bedrock_spark.browse.opened_runs import OpenedRun
from bedrock_spark.browse.row_filter import RowFilter
from bedrock_spark.browse.unit_file import Place, UnitFile
from bedrock_spark.errors import ConfigError, RunFolderError

PAGE_ROWS = 50
# The row groups that one page reads: a group has at most 20,000 rows and about 16 MB.
MOST_GROUPS = 24
# The files that it opens: statistics may tell of each that it has no wanted row.
MOST_FILES = 200
# Columns that a page of many rows does not show: they are long, or lists.
_LONG = ("model_output", "embedding", "images", "reasoning", "tool_input")


@dataclass(frozen=True)
class FoundRow:
    """A result row: its place, and its values by column."""

    place: Place
    values: dict[str, Any]


@dataclass(frozen=True)
class RowPage:
    """Some rows.

    columns: those that were read, in order
    next: where the next page begins; None if there are no more rows
    is_cut: whether the page ends because it has read enough, and not because it is full
    units, groups: how many units were opened, and row groups were read; read_rows: rows in these
    problems: units whose results cannot be read, with the reason
    """

    rows: tuple[FoundRow, ...]
    columns: tuple[str, ...]
    next: Place | None
    is_cut: bool
    units: int
    groups: int
    read_rows: int
    problems: tuple[str, ...] = ()


def read_page(
    opened: OpenedRun,
    wanted: RowFilter,
    start: Place | None = None,
    *,
    unit: str | None = None,
    most: int = PAGE_ROWS,
    most_groups: int = MOST_GROUPS,
) -> RowPage:
    """Return the first `most` wanted rows from a place on; None: from the first row.

    unit: only its rows; most_groups: the row groups to read
    Raises ConfigError for a column or a unit that does not exist.
    """
    reading = _Reading(opened, wanted, most, most_groups)
    for place in _places(opened, wanted, start, unit):
        if not reading.add(place):
            break
    return reading.page()


def units_of(opened: OpenedRun, wanted: RowFilter, unit: str | None) -> Sequence[int]:
    """Return the places, in the manifest, of the units that may have wanted rows.

    unit: the only one that counts; None for all. Raises ConfigError if the run has no such unit.
    """
    if unit is None:
        found: list[int] = opened.counts.candidates(wanted).tolist()
        return found
    return [place_of_unit(opened, unit)]


def place_of_unit(opened: OpenedRun, unit: str) -> int:
    """Return the place of a unit in the manifest. Raises ConfigError if there is no such unit."""
    place = opened.counts.place_of(unit)
    if place is None:
        raise ConfigError(f"{unit}: the run {opened.run.storage.uri} has no such shard")
    return place


def list_columns(opened: OpenedRun, schema: pa.Schema) -> list[str]:
    """Return the columns of a list of rows: all but those with long values and lists."""
    prefix = opened.run.config.results.prefix
    left_out = {f"{prefix}{name}" for name in _LONG}
    return [
        field.name
        for field in schema
        if field.name not in left_out and not pa.types.is_binary(field.type)
    ]


def _places(
    opened: OpenedRun, wanted: RowFilter, start: Place | None, unit: str | None
) -> Iterator[Place]:
    """Yield where to read: the place to begin at, then the beginnings of the units after it."""
    first = -1
    if start is not None:
        first = place_of_unit(opened, start.unit)
    candidates = np.asarray(units_of(opened, wanted, unit))
    for position in candidates[np.searchsorted(candidates, first) :].tolist():
        name = opened.counts.units[position]
        yield start if start is not None and position == first else Place(name)


class _Reading:
    """A page while its rows are looked for: one more than it shows, to know if there is a next."""

    def __init__(self, opened: OpenedRun, wanted: RowFilter, most: int, most_groups: int) -> None:
        self._opened = opened
        self._wanted = wanted
        self._most = most
        self._groups_left = most_groups
        self._rows: list[FoundRow] = []
        self._columns: dict[str, None] = {}
        self._problems: list[str] = []
        self._next: Place | None = None
        self._units = self._groups = self._read_rows = 0

    def add(self, start: Place) -> bool:
        """Read a unit from a place on; tell whether the page goes on after it."""
        if self._units >= MOST_FILES or not self._groups_left:
            self._next = start
            return False
        self._units += 1
        try:
            file = UnitFile(self._opened.run.storage, start.unit)
        except RunFolderError as exc:
            self._problems.append(str(exc))
            return True
        with file:
            try:
                for group in range(start.group, file.groups):
                    row = start.row if group == start.group else 0
                    if not self._add_group(file, Place(start.unit, group, row)):
                        return False
            except RunFolderError as exc:  # the rows behind it can still be looked at
                self._problems.append(str(exc))
        return True

    def _add_group(self, file: UnitFile, start: Place) -> bool:
        results = self._opened.run.config.results
        if not self._wanted.may_be_in(file.metadata(start.group), results):
            return True
        if not self._groups_left:
            self._next = start
            return False
        self._groups_left -= 1
        self._groups += 1
        self._read_rows += max(0, file.rows(start.group) - start.row)
        missing = self._most + 1 - len(self._rows)
        found = wanted_rows(file, start.group, self._wanted, self._opened, start.row)[:missing]
        if len(found):
            columns = list_columns(self._opened, file.schema)
            self._columns.update(dict.fromkeys(columns))
            values = file.take(start.group, found, columns).to_pylist()
            self._rows += [
                FoundRow(Place(start.unit, start.group, row), value)
                for row, value in zip(found.tolist(), values, strict=True)
            ]
        return len(self._rows) <= self._most

    def page(self) -> RowPage:
        """Return the page."""
        is_full = len(self._rows) > self._most
        return RowPage(
            rows=tuple(self._rows[: self._most]),
            columns=tuple(self._columns),
            next=self._rows[self._most].place if is_full else self._next,
            is_cut=not is_full and self._next is not None,
            units=self._units,
            groups=self._groups,
            read_rows=self._read_rows,
            problems=tuple(self._problems),
        )


def wanted_rows(
    file: UnitFile, group: int, wanted: RowFilter, opened: OpenedRun, first: int = 0
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the wanted rows of a row group, from the row `first` on, in order."""
    if wanted.is_empty:
        return np.arange(first, file.rows(group))
    results = opened.run.config.results
    table = file.read(group, wanted.columns(file.schema, results))
    found = np.flatnonzero(wanted.mask(table, results))
    return found[found >= first]
