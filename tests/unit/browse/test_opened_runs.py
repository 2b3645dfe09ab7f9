"""A run that is looked at again and again: what is read once more, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedrock_spark.browse.row_filter import RowFilter
from bedrock_spark.browse.row_pages import read_page
from bedrock_spark.browse.unit_counts import count_units
from bedrock_spark.errors import RunFolderError
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.outputs.reconciliations import Reconciliations, StoredRow
from bedrock_spark.run_folder import layout
from tests.unit.browse.run_of_rows import (
    REJECTS,
    reconcile,
    row,
    runs,
    shard,
    write_run,
    write_unit,
)
from tests.unit.fakes import FakeClock


def test_counts_are_read_again_when_a_collect_has_ended(tmp_path: Path) -> None:
    run = write_run(tmp_path, {shard(0): [row(0)], shard(1): [row(1)]}, collected=[shard(0)])
    opener = runs()
    uri = str(tmp_path)
    first = opener.open(uri)
    assert opener.open(uri).counts is first.counts
    assert first.counts.totals == {"ok": 1}
    write_unit(tmp_path, shard(1), [row(1, "error")])
    reconcile(run.storage, {shard(0): [row(0)], shard(1): [row(1, "error")]})
    second = opener.open(uri)
    assert second.counts.totals == {"ok": 1, "error": 1}
    assert second.manifest is not None
    assert len(read_page(second, RowFilter()).rows) == 2


def test_counts_without_a_table_are_read_again_after_a_while(tmp_path: Path) -> None:
    """The first collect is at work: it writes the table when it ends."""
    run = write_run(tmp_path, {shard(0): [row(0)], shard(1): [row(1)]}, collected=[shard(0)])
    (tmp_path / layout.RECONCILIATIONS_FILE).unlink()
    clock = FakeClock()
    opener = runs(clock)
    first = opener.open(str(tmp_path))
    write_unit(tmp_path, shard(1), [row(1)])
    run.storage.write(
        layout.reconciliation_key(shard(1)),
        ReconciledShard(unit=shard(1), rows=1, outcomes={"ok": 1}).to_json(),
    )
    assert opener.open(str(tmp_path)).counts is first.counts
    clock.sleep(60)
    assert opener.open(str(tmp_path)).counts.collected == 2


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=str(tmp_path)):
        runs().open(str(tmp_path))


def counted(*shards: ReconciledShard, prefix: str = "") -> Reconciliations:
    rows = {each.unit: StoredRow("v", each.to_json()) for each in shards}
    return Reconciliations.of(rows, "folder")


def test_a_column_with_values_that_are_no_labels_rules_nothing_out() -> None:
    """One shard has too many values, one says nothing of the column, one has rejected rows."""
    units = [shard(0), shard(1), shard(2), REJECTS]
    made = counted(
        ReconciledShard(unit=shard(0), rows=9, outcomes={"ok": 9}, labels={"label": {"x": 9}}),
        ReconciledShard(unit=shard(1), rows=9, outcomes={"ok": 9}, labels={"label": None}),
        ReconciledShard(unit=shard(2), rows=9, outcomes={"ok": 9}),
        ReconciledShard(unit=REJECTS, rows=9, outcomes={"rejected": 9}),
        ReconciledShard(unit="shard-00009-00", rows=9, outcomes={"error": 9}),
    )
    counts = count_units(units, made, "llm_")
    assert counts.totals == {"ok": 27, "rejected": 9}
    assert counts.labels == {"llm_label": (("x", 9),)}

    def places(column: str, value: str) -> list[int]:
        found: list[int] = counts.candidates(RowFilter(column=column, value=value)).tolist()
        return found

    assert places("llm_label", "x") == [0, 1, 2]
    assert places("llm_label", "y") == [1, 2]
    assert places("other", "y") == [0, 1, 2, 3]


def test_a_column_with_many_values_in_all_is_none_of_labels() -> None:
    units = [shard(i) for i in range(20)]
    made = counted(
        *(
            ReconciledShard(
                unit=unit,
                rows=20,
                outcomes={"ok": 20},
                labels={"label": {f"{unit} {n}": 1 for n in range(20)}},
            )
            for unit in units
        )
    )
    counts = count_units(units, made)
    assert counts.labels == {}
    assert len(counts.candidates(RowFilter(column="label", value="x"))) == 20


def test_groups_of_errors_are_the_largest_first() -> None:
    reasons = [Reason("error", 500, "again", 2, "a"), Reason("invalid", None, "no JSON", 7, "b")]
    made = counted(
        ReconciledShard(unit=shard(0), rows=9, outcomes={"error": 9}, reasons=(reasons[0],)),
        ReconciledShard(
            unit=shard(1), rows=9, outcomes={"invalid": 9}, reasons=tuple(reasons), other_reasons=3
        ),
    )
    counts = count_units([shard(0), shard(1)], made)
    assert [(group.text, rows) for group, rows in counts.groups] == [
        ("invalid - no JSON", 7),
        ("error 500 again", 4),
    ]
    assert counts.other_rows == 3


def test_a_damaged_reconciliation_is_named() -> None:
    made = Reconciliations.of({shard(0): StoredRow("v", b"{}")}, "folder")
    with pytest.raises(RunFolderError, match="folder: a reconciliation is damaged"):
        count_units([shard(0)], made)
