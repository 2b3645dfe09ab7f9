"""The counts of all units of a run, as columns: which units may have rows that are wanted.

They are built once from the reconciliations and kept while a page is open, so three shards among
100,000 are found without a look at the others. A number is kept for each unit and outcome, and the
list of units for each reason and each label: some bytes a unit.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from bedrock_spark.browse.row_filter import WITHOUT_REASON, ErrorGroup, Mask, RowFilter
from bedrock_spark.outputs.outcomes import REJECTED
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.outputs.reconciliations import Reconciliations

_Units = npt.NDArray[np.int64]
# The most groups of errors that are held with their units. A shard names ten.
_MOST_HELD = 20_000
# A column with more values in the whole run is no column of labels.
_MOST_VALUES = 200


class _Counted(msgspec.Struct, frozen=True):
    """The part of a reconciliation that is counted here."""

    unit: str
    rows: int = 0
    outcomes: dict[str, int] = {}
    reasons: tuple[Reason, ...] = ()
    other_reasons: int = 0
    labels: dict[str, dict[str, int] | None] = {}


@dataclass
class _Label:
    """The values of a column of answers: the units that have each, and its rows.

    known: the units of which all values are known
    """

    units: dict[str, array[int]] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    known: array[int] = field(default_factory=lambda: array("i"))


@dataclass(frozen=True)
class UnitCounts:
    """How the rows of the units of a run ended.

    units: their names, in the order of the run manifest
    rows: of each unit; 0 if it is not collected
    is_collected: of each unit
    outcomes: by outcome, the rows of each unit
    groups: of errors, each with its rows, the largest first; other_rows: with any other reason
    labels: by column of the answers that holds labels, its values with their rows
    """

    units: tuple[str, ...]
    rows: _Units
    is_collected: Mask
    outcomes: Mapping[str, _Units]
    groups: tuple[tuple[ErrorGroup, int], ...]
    other_rows: int
    labels: Mapping[str, tuple[tuple[str, int], ...]]
    _group_units: Mapping[ErrorGroup, array[int]] = field(repr=False)
    _has_others: Mask = field(repr=False)
    _labels: Mapping[str, _Label] = field(repr=False)
    _rejected: Mask = field(repr=False)
    _places: Mapping[str, int] = field(repr=False)

    @property
    def totals(self) -> dict[str, int]:
        """Return the rows by outcome."""
        return {name: int(rows.sum()) for name, rows in self.outcomes.items()}

    @property
    def collected(self) -> int:
        """Return the number of units that are collected."""
        return int(np.count_nonzero(self.is_collected))

    def place_of(self, unit: str) -> int | None:
        """Return the place of a unit in the order of the run manifest; None if there is none."""
        return self._places.get(unit)

    def candidates(self, wanted: RowFilter) -> _Units:
        """Return the places of the units that may have wanted rows, in order."""
        if not self.is_collected.any():
            # Nothing is known: the first collect is at work, or `clean` has deleted the counts.
            return np.arange(len(self.units))
        may = self.is_collected.copy()
        if wanted.outcomes:
            may &= self._with_outcomes(wanted.outcomes)
        if wanted.error is not None:
            may &= self._with_error(wanted.error)
        if wanted.column is not None and wanted.value:
            may &= self._with_label(wanted.column, wanted.value)
        return np.flatnonzero(may)

    def _with_outcomes(self, outcomes: Iterable[str]) -> Mask:
        found: Mask = np.zeros(len(self.units), np.bool_)
        for name in outcomes:
            if name in self.outcomes:
                found |= self.outcomes[name] > 0
        return found

    def _with_error(self, group: ErrorGroup) -> Mask:
        found = self._with_outcomes((group.outcome,))
        if group.outcome in WITHOUT_REASON:
            return found
        named = self._has_others.copy()
        named[self._group_units.get(group, array("i"))] = True
        return found & named

    def _with_label(self, column: str, value: str) -> Mask:
        label = self._labels.get(column)
        found: Mask = np.ones(len(self.units), np.bool_)
        if label is not None:
            found &= ~self._rejected  # these have no answer
            found[label.known] = False
            found[label.units.get(value, array("i"))] = True
        return found


def count_units(units: Sequence[str], reconciled: Reconciliations, prefix: str = "") -> UnitCounts:
    """Return the counts of all units.

    units: in the order of the run manifest; reconciled: of those that are collected
    prefix: what the names of result columns begin with
    Raises RunFolderError if a reconciliation is damaged.
    """
    made = _Building(units, prefix)
    for counted in reconciled.decoded(_Counted):
        made.add(counted)
    return made.finish()


class _Building:
    """The counts while they are added up."""

    def __init__(self, units: Sequence[str], prefix: str) -> None:
        self._units = tuple(units)
        self._prefix = prefix
        self._places = {unit: place for place, unit in enumerate(units)}
        self._rows = np.zeros(len(units), np.int64)
        self._is_collected: Mask = np.zeros(len(units), np.bool_)
        self._has_others: Mask = np.zeros(len(units), np.bool_)
        self._rejected: Mask = np.zeros(len(units), np.bool_)
        self._outcomes: dict[str, _Units] = {}
        self._groups: dict[ErrorGroup, array[int]] = {}
        self._group_rows: Counter[ErrorGroup] = Counter()
        self._other_rows = 0
        self._labels: dict[str, _Label | None] = {}

    def add(self, counted: _Counted) -> None:
        """Add one unit; one that the run manifest does not name is left out."""
        place = self._places.get(counted.unit)
        if place is None:
            return
        self._rows[place] = counted.rows
        self._is_collected[place] = True
        self._rejected[place] = counted.outcomes.get(REJECTED) == counted.rows
        for name, rows in counted.outcomes.items():
            if rows:
                if name not in self._outcomes:
                    self._outcomes[name] = np.zeros(len(self._units), np.int64)
                self._outcomes[name][place] = rows
        self._has_others[place] = counted.other_reasons > 0
        self._other_rows += counted.other_reasons
        for reason in counted.reasons:
            self._add_reason(place, reason)
        for name, values in counted.labels.items():
            self._add_label(f"{self._prefix}{name}", place, values)

    def _add_reason(self, place: int, reason: Reason) -> None:
        group = ErrorGroup(reason.outcome, reason.code, reason.message)
        if group not in self._groups:
            if len(self._groups) >= _MOST_HELD:
                self._has_others[place] = True
                self._other_rows += reason.count
                return
            self._groups[group] = array("i")
        self._groups[group].append(place)
        self._group_rows[group] += reason.count

    def _add_label(self, column: str, place: int, values: Mapping[str, int] | None) -> None:
        label = self._labels.setdefault(column, _Label())
        if label is None or values is None:
            return
        label.known.append(place)
        for value, rows in values.items():
            label.units.setdefault(value, array("i")).append(place)
            label.rows[value] += rows
        if len(label.units) > _MOST_VALUES:
            self._labels[column] = None

    def finish(self) -> UnitCounts:
        """Return the counts."""
        labels = {name: label for name, label in self._labels.items() if label is not None}
        return UnitCounts(
            units=self._units,
            rows=self._rows,
            is_collected=self._is_collected,
            outcomes=self._outcomes,
            groups=tuple(self._group_rows.most_common()),
            other_rows=self._other_rows,
            labels={n: tuple(label.rows.most_common()) for n, label in labels.items()},
            _group_units=self._groups,
            _has_others=self._has_others,
            _labels=labels,
            _rejected=self._rejected,
            _places=self._places,
        )
