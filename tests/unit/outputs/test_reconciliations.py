"""The table of reconciliations: whatever it has, readers get what the objects say."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock_spark.errors import RunFolderError
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, read_reconciled
from bedrock_spark.outputs.reconciliations import (
    Reconciliations,
    StoredRow,
    find_reconciliations,
    list_versions,
    read_reconciliations,
    read_table,
    write_table,
)
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import LocalStorage

UNITS = ("rejects-00001", "shard-00001-00", "shard-00001-01")


class Counted(LocalStorage):
    """Notes the keys that are read."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.read_keys: list[str] = []

    def read_if_present(self, key: str) -> bytes | None:
        self.read_keys.append(key)
        return super().read_if_present(key)


def commit(storage: LocalStorage, unit: str, rows: int) -> StoredRow:
    """Write the object of a unit, as a task does; return what the task returns of it."""
    reconciled = ReconciledShard(
        unit=unit, rows=rows, outcomes={"ok": rows}, unanswered_ids=("a", "b")
    )
    version = storage.write(layout.reconciliation_key(unit), reconciled.to_json())
    return StoredRow(version, reconciled.without_ids().to_json())


class Rows(msgspec.Struct):
    """A part of a reconciliation."""

    unit: str
    rows: int = 0


def rows_read(storage: LocalStorage) -> dict[str, int]:
    """Return the rows of each unit; whole reconciliations and parts of them say the same."""
    whole, parts = read_reconciliations(storage), find_reconciliations(storage, Rows, bool)
    assert not any(r.unanswered_ids for r in whole)
    rows = {r.unit: r.rows for r in whole}
    assert [r.unit for r in whole] == sorted(rows)
    assert sorted((r.unit, r.rows) for r in parts) == sorted(rows.items())
    few = find_reconciliations(storage, Rows, lambda part: part.rows < 10)
    assert {r.unit for r in few} == {unit for unit, count in rows.items() if count < 10}
    return rows


# Of each unit: the object is written, the task's result reaches the driver, the table is written.
STEPS = st.lists(
    st.tuples(st.sampled_from(["commit", "lose", "table", "forget"]), st.sampled_from(UNITS)),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, STEPS)
def test_two_drivers_and_kills_at_any_moment_never_hide_an_object(
    tmp_path_factory: pytest.TempPathFactory,
    one: list[tuple[str, str]],
    two: list[tuple[str, str]],
) -> None:
    """Readers see the newest object of each unit, whatever the tables of both drivers have."""
    storage = LocalStorage(str(tmp_path_factory.mktemp("run")))
    newest: dict[str, int] = {}
    drivers: list[dict[str, StoredRow]] = [{}, {}]
    steps = [(0, *step) for step in one] + [(1, *step) for step in two]
    steps = [step for pair in zip(steps[::2], steps[1::2], strict=False) for step in pair[::-1]]
    for number, (driver, what, unit) in enumerate(steps):
        if what == "table":
            write_table(storage, drivers[driver])
        elif what == "forget":  # the process is killed, and starts with the table that it finds
            drivers[driver] = read_table(storage)
        else:
            newest[unit] = 10 ** (number % 3) * 7 + number  # of other sizes, too
            row = commit(storage, unit, newest[unit])
            if what == "commit":
                drivers[driver][unit] = row
        assert rows_read(storage) == newest


def test_only_the_objects_that_the_table_does_not_cover_are_read(tmp_path: Path) -> None:
    storage = Counted(str(tmp_path))
    write_table(storage, {unit: commit(storage, unit, 3) for unit in UNITS})
    assert rows_read(storage) == dict.fromkeys(UNITS, 3)
    assert storage.read_keys == 3 * [layout.RECONCILIATIONS_FILE]
    commit(storage, UNITS[1], 44)
    storage.read_keys.clear()
    assert rows_read(storage)[UNITS[1]] == 44
    keys = [layout.RECONCILIATIONS_FILE, layout.reconciliation_key(UNITS[1])]
    assert storage.read_keys == 3 * keys
    (tmp_path / layout.reconciliation_key(UNITS[2])).unlink()
    assert set(rows_read(storage)) == set(UNITS[:2])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"no gzip",
        lambda data: data[:-9],
        lambda data: data[: len(data) // 2],
        lambda data: gzip.compress(b'{"format":99}\n{"other":1}\n'),
        lambda data: gzip.compress(b"\n"),
        lambda data: (
            gzip.compress(gzip.decompress(data).replace(b'"rows":3', b'"rows":4'))[:-8] + data[-8:]
        ),
        lambda data: gzip.compress(gzip.decompress(data) + b'{"unit":\n'),
        lambda data: gzip.compress(gzip.decompress(data) + gzip.decompress(data).split(b"\n")[1]),
    ],
)
def test_a_damaged_table_only_costs_time(tmp_path: Path, damage: object) -> None:
    """The objects are read instead."""
    storage = LocalStorage(str(tmp_path))
    write_table(storage, {unit: commit(storage, unit, 3) for unit in UNITS})
    table = tmp_path / layout.RECONCILIATIONS_FILE
    table.write_bytes(damage(table.read_bytes()))  # type: ignore[operator]
    assert read_table(storage) == {}
    assert rows_read(storage) == dict.fromkeys(UNITS, 3)


def test_a_run_that_was_never_collected_has_none(tmp_path: Path) -> None:
    storage = Counted(str(tmp_path))
    assert list(read_reconciliations(storage)) == []
    assert storage.read_keys == [layout.RECONCILIATIONS_FILE]


def test_reconciliations_are_a_sequence_sorted_by_name(tmp_path: Path) -> None:
    storage = LocalStorage(str(tmp_path))
    rows = {unit: commit(storage, unit, n) for n, unit in enumerate(reversed(UNITS))}
    reconciliations = Reconciliations.of(rows, storage.uri)
    assert [r.unit for r in reconciliations] == list(UNITS)
    assert (len(reconciliations), reconciliations[0].unit) == (3, UNITS[0])
    assert [r.unit for r in reconciliations[1:]] == list(UNITS[1:])
    assert list_versions(storage) == {unit: row.version for unit, row in rows.items()}


OLDER = b'{"unit": "u", "rows": "many"}'


@pytest.mark.parametrize("data", [b"damaged", OLDER])
def test_a_reconciliation_of_another_format_is_a_clear_error(tmp_path: Path, data: bytes) -> None:
    """Whether the table has it or its own object; a reader cannot make it again."""
    storage = LocalStorage(str(tmp_path))
    unit = UNITS[0]
    version = storage.write(layout.reconciliation_key(unit), data)
    for table in ({}, {unit: StoredRow(version, OLDER)}):
        write_table(storage, table)
        with pytest.raises(RunFolderError, match=r"another version of bedrock_spark.*run collect"):
            list(read_reconciliations(storage))
        with pytest.raises(RunFolderError, match=r"another version of bedrock_spark.*run collect"):
            find_reconciliations(storage, Rows, bool)
    with pytest.raises(RunFolderError, match=layout.reconciliation_key(unit)):
        read_reconciled(storage, unit)
