"""When the rows of another run may be asked, and what happens if its results change meanwhile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import SourceConfig, parse_config
from bedrock_spark.errors import OtherRunError, SourceError
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.outputs.shard_outputs import jobs_digest
from bedrock_spark.report import Report
from bedrock_spark.report.build import write_report
from bedrock_spark.report.values import DONE, HELD, all_outcomes
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.fallback_end import note_fallback_ended
from bedrock_spark.run_folder.ledger import Job, Ledger
from bedrock_spark.run_folder.ledger.events import Seen, Submitted, Submitting
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.published import WRITING, Publication, Publications
from bedrock_spark.run_folder.run import Run, begin_run, check_not_replaced, open_run
from bedrock_spark.run_folder.source_run import DerivedFrom
from bedrock_spark.spark.prepare.stage import _with_lineage
from bedrock_spark.spark.source_run import open_rows
from tests.unit.fakes import CLAUDE, FakeClock, config_values

UNIT = "shard-00000-00"


def collected(folder: Path, unanswered: int, records: int = 5, **sections: Any) -> Run:
    """Return a run whose shard is too small for a batch job, of which three rows are not ok."""
    values = {**config_values(str(folder)), "source": {"key": ["id"]}, **sections}
    run = begin_run(open_run(parse_config(values), FakeClock(1_000.0)))
    manifest = RunManifest(run.run_id, 10, "`id` BIGINT", (Shard(UNIT, records, 10, "x"),), ())
    commit_manifest(run.storage, manifest)
    put_reconciliation(run, unanswered)
    return run


def put_reconciliation(run: Run, unanswered: int, jobs: Sequence[Job] = ()) -> None:
    shard = ReconciledShard(
        unit=UNIT,
        rows=10,
        outcomes={"ok": 7, "error": 3},
        unanswered=unanswered,
        jobs_known=jobs_digest(jobs),
    )
    run.storage.write(layout.reconciliation_key(UNIT), shard.to_json())


def report_on(run: Run, state: str, unanswered: int) -> None:
    outcomes = all_outcomes({"ok": 7, "error": 3})
    served = {"batch": 7, "fallback": 0}
    write_report(
        run,
        Report(
            *(run.run_id, run.storage.uri, 10, 10, 0, outcomes, served, unanswered, 1, {}, 1),
            *({"input": 7, "output": 8}, {}, []),
            state=state,
        ),
    )


def rows_of(run: Run, outcome: Any) -> int:
    source = SourceConfig(run=run.storage.uri, outcome=outcome)
    return len(open_rows(source, AwsSettings(), FakeClock(2_000.0)).reconciled)


FALLBACK: dict[str, Any] = {"fallback": {"model_id": CLAUDE}}


@pytest.mark.parametrize(
    ("sections", "unanswered", "is_open"),
    [(FALLBACK, 3, True), (FALLBACK, 0, False), ({}, 3, False)],
)
@pytest.mark.parametrize("state", [None, "damaged", HELD, DONE])
def test_rows_that_may_still_be_answered_are_refused(
    tmp_path: Path, sections: dict[str, Any], unanswered: int, is_open: bool, state: str | None
) -> None:
    """Whatever the report says: it may be older than the answers. Its answers may be read."""
    run = collected(tmp_path / "first", unanswered, **sections)
    if state == "damaged":
        run.storage.write(layout.REPORT_FILE, b"{")
    elif state is not None:
        report_on(run, state, unanswered)
    assert rows_of(run, "ok") == 1
    for outcome in ("error", "all", ["ok", "missing"]):
        if is_open:
            with pytest.raises(SourceError, match="the fallback may still answer 3 rows, so rows"):
                rows_of(run, outcome)
        else:
            assert rows_of(run, outcome) == 1


def test_rows_are_not_asked_again_once_the_fallback_gave_up_or_rows_were_appended(
    tmp_path: Path,
) -> None:
    """Then no answer comes any more."""
    run = collected(tmp_path / "ended", 3, **FALLBACK)
    note_fallback_ended(run.storage, "its rounds are used up", 1_500.0)
    assert rows_of(run, "error") == 1
    run = collected(tmp_path / "appended", 3, **FALLBACK)
    Publications(run.storage).note("table", Publication("append", WRITING, "f"))
    assert rows_of(run, "error") == 1


def test_rows_whose_jobs_are_not_over_or_not_collected_are_refused(tmp_path: Path) -> None:
    """An answer that was paid for may be in the output that no collect has read."""
    run = collected(tmp_path / "first", 0, records=20)
    with pytest.raises(SourceError, match="1 shard has an active batch job or waits for one"):
        rows_of(run, "error")
    ledger = Ledger(run.storage)
    ledger.replay()
    seen = Seen("n", "arn", "Completed", None, (20, 20, 20, 0), 3.0, times=(1.0, 3.0))
    ledger.append([Submitting(UNIT, 1, "n", "t", 1.0), Submitted("n", "arn", 1.0), seen])
    with pytest.raises(SourceError, match="1 of its shards have batch output that is not"):
        rows_of(run, "error")
    put_reconciliation(run, 0, list(ledger.replay().values()))
    assert rows_of(run, "error") == 1


def test_a_prepare_of_rows_that_have_changed_is_noticed(tmp_path: Path) -> None:
    """Another process has begun the run again with the new rows: the first one commits nothing."""
    values = {**config_values(str(tmp_path / "second")), "source": {"key": ["id"]}}
    opened = open_run(parse_config(values), FakeClock(1_000.0))
    lineage = [DerivedFrom("a", "a-1", fingerprint, None, None) for fingerprint in ("x", "y")]
    first = begin_run(_with_lineage(opened, lineage[0]))
    assert first.run_id == opened.run_id
    assert _with_lineage(first, lineage[0]) is first
    check_not_replaced(first)
    again = begin_run(_with_lineage(first, lineage[1]))
    described = json.loads(again.storage.read(layout.RUN_FILE))
    assert described["derived_from"]["fingerprint"] == "y"
    check_not_replaced(again)
    with pytest.raises(OtherRunError, match="another process has begun this run again"):
        check_not_replaced(first)
