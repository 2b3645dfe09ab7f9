"""What is reported before anything was collected, and by commands that do not collect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.outputs.findings import Finding
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.report import Totals, build_report, totals_of, write_report
from bedrock_spark.report.findings import unpublished_finding
from bedrock_spark.report.totals import last_totals
from bedrock_spark.run_folder.manifest import RejectedRows, RunManifest, Shard
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.run_folder.report_file import read_report
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import make_config

MANIFEST = RunManifest(
    "run-a", 13, "a INT", (Shard("s0", 4, 1, "x"), Shard("s1", 6, 1, "y")), (RejectedRows(0, 3),)
)
UNITS = [
    ReconciledShard(
        unit="s0",
        outcomes={"ok": 2, "error": 1, "missing": 1},
        unanswered=2,
        reasons=(Reason("error", 429, "slow down", 1, "r1"),),
        other_reasons=2,
        stop_reasons={"end_turn": 2},
        fallback_models=(ModelUse("m", "flex", 2, {"input": 3, "output": 4, "uncounted": 1}),),
        findings=(Finding("bad_line", "s0", "line 7"),),
    ),
    ReconciledShard(
        unit="s1",
        outcomes={"ok": 1, "missing": 5},
        unanswered=5,
        reasons=(Reason("error", 429, "slow down", 3, "r2"),),
        stop_reasons={"end_turn": 1, "max_tokens": 1},
    ),
    ReconciledShard(
        unit="rejects-00000",
        outcomes={"rejected": 3},
        reasons=(Reason("rejected", None, "body: is null", 3),),
    ),
]


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path))


def write(storage: LocalStorage, totals: Totals, run_id: str = "run-a") -> None:
    run = Run(run_id, make_config(), storage, AwsSettings())
    report = build_report(run, MANIFEST, {}, totals, {})
    findings = [*report.findings, unpublished_finding("later")]
    write_report(run, replace(report, findings=findings))


def test_reasons_and_stop_reasons_are_sums_over_the_shards() -> None:
    """The commonest first; the example is of the first shard that has the reason."""
    totals = totals_of(MANIFEST, UNITS)
    assert totals.reasons == [
        Reason("error", 429, "slow down", 4, "r1", ("r2",)),
        Reason("rejected", None, "body: is null", 3),
    ]
    assert totals.other_reasons == 2
    assert totals.stop_reasons == {"end_turn": 3, "max_tokens": 1}


def test_what_is_missing_of_an_unsettled_shard_waits() -> None:
    """Rows still add up; a waiting row is neither missing nor to be asked by the fallback."""
    totals = totals_of(MANIFEST, UNITS, {"s1"})
    assert (totals.outcomes["waiting"], totals.outcomes["missing"], totals.unanswered) == (5, 1, 2)
    assert sum(totals.outcomes.values()) == MANIFEST.rows


def carried(storage: LocalStorage) -> Totals:
    return last_totals(MANIFEST, read_report(storage, MANIFEST.run_id))


def test_before_anything_is_collected_rows_wait_or_are_rejected(storage: LocalStorage) -> None:
    """They add up to the rows of the manifest. Before prepare is done, no row is known."""
    outcomes = carried(storage).outcomes
    assert {name: n for name, n in outcomes.items() if n} == {"waiting": 10, "rejected": 3}
    assert not any(last_totals(None, None).outcomes.values())


def test_the_sums_of_the_last_report_are_carried_over(storage: LocalStorage) -> None:
    """All that only collect knows. Findings of the moment are not."""
    totals = totals_of(MANIFEST, UNITS)
    write(storage, totals)
    assert carried(storage) == totals
    assert [f["kind"] for f in carried(storage).findings] == ["bad_line"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version": 0}', b'{"version": 1}'])
def test_a_report_of_another_kind_is_not_carried_over(storage: LocalStorage, data: bytes) -> None:
    """Nor does it stop the command."""
    storage.write("report.json", data)
    assert carried(storage).outcomes["waiting"] == 10


def test_a_damaged_report_or_that_of_another_run_is_not_carried_over(
    storage: LocalStorage,
) -> None:
    """A folder may have been deleted in part."""
    write(storage, totals_of(MANIFEST, UNITS), "run-b")
    assert carried(storage).outcomes["waiting"] == 10
    write(storage, replace(totals_of(MANIFEST, UNITS), outcomes={"ok": 13}))
    assert carried(storage).outcomes["waiting"] == 10


def test_units_have_no_reasons_if_they_are_of_an_older_version() -> None:
    """Their members are empty by default."""
    units = [structs.replace(u, reasons=(), other_reasons=0, stop_reasons={}) for u in UNITS]
    assert totals_of(MANIFEST, units).reasons == []
