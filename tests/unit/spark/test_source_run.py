"""When the rows of another run may be asked, and what happens if its results change meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import SourceConfig, parse_config
from bedrock_spark.errors import OtherRunError, SourceError
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.report import Report
from bedrock_spark.report.build import write_report
from bedrock_spark.report.values import DONE, HELD, all_outcomes
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.run import Run, begin_run, check_not_replaced, open_run
from bedrock_spark.run_folder.source_run import DerivedFrom
from bedrock_spark.spark.prepare.stage import _with_lineage
from bedrock_spark.spark.source_run import open_rows
from tests.unit.fakes import FakeClock, config_values

UNIT = "shard-00000-00"


def collected(folder: Path, unanswered: int) -> Run:
    """Return a run of ten rows, of which three are not ok."""
    values = {**config_values(str(folder)), "source": {"key": ["id"]}}
    run = begin_run(open_run(parse_config(values), FakeClock(1_000.0)))
    manifest = RunManifest(run.run_id, 10, "`id` BIGINT", (Shard(UNIT, 10, 10, "x"),), ())
    commit_manifest(run.storage, manifest)
    counts = {"ok": 7, "error": 3}
    shard = ReconciledShard(unit=UNIT, rows=10, outcomes=counts, unanswered=unanswered)
    run.storage.write(layout.reconciliation_key(UNIT), shard.to_json())
    return run


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


@pytest.mark.parametrize(
    ("state", "unanswered", "is_open"),
    [
        # Killed after collect, before it wrote the report: the fallback may still ask three rows.
        (None, 3, True),
        (None, 0, False),
        ("damaged", 3, True),
        (HELD, 3, True),
        (HELD, 0, False),
        (DONE, 3, False),
    ],
)
def test_rows_that_may_still_be_answered_are_refused(
    tmp_path: Path, state: str | None, unanswered: int, is_open: bool
) -> None:
    """Whether or not there is a report. Its answers may be read."""
    run = collected(tmp_path / "first", unanswered)
    if state == "damaged":
        run.storage.write(layout.REPORT_FILE, b"{")
    elif state is not None:
        report_on(run, state, unanswered)

    def rows(outcome: Any) -> int:
        source = SourceConfig(run=str(tmp_path / "first"), outcome=outcome)
        return len(open_rows(source, AwsSettings(), FakeClock(2_000.0)).reconciled)

    assert rows("ok") == 1
    for outcome in ("error", "all", ["ok", "missing"]):
        if is_open:
            with pytest.raises(SourceError, match="it may still ask 3 of its rows"):
                rows(outcome)
        else:
            assert rows(outcome) == 1


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
