"""What a prepared run has left to ask."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.planning.left import left_to_ask
from bedrock_spark.run_folder import layout
from tests.unit.fake_run import RUN_ID, FakeRun
from tests.unit.fakes import CLAUDE, make_config, report_json

# One small shard: the fallback has to ask its records.
RECORDS = [30, 20, 5]


def collected(fake: FakeRun, unanswered: int) -> None:
    """Write what a collect leaves."""
    report = report_json(run_id=RUN_ID, unanswered=unanswered, outcomes={"ok": 1})
    fake.run.storage.write(layout.REPORT_FILE, json.dumps(report).encode())
    fake.run.storage.write(layout.RECONCILIATION_FILE, b"x")


# The stage of the run, the rows that collect has found unanswered, and what is left without and
# with a fallback. None: only a collect can tell.
STAGES: dict[str, tuple[bool, int | None, int | None, int | None]] = {
    "prepared": (False, None, 50, 55),
    "jobs are over": (True, None, 0, 5),
    "all is answered": (True, 0, 0, 0),
    "some are not": (True, 3, 0, 3),
}


@pytest.mark.parametrize("has_fallback", [False, True])
@pytest.mark.parametrize("stage", STAGES)
def test_what_is_left_depends_on_the_stage(stage: str, has_fallback: bool, tmp_path: Path) -> None:
    are_over, unanswered, without, with_fallback = STAGES[stage]
    fake = FakeRun(tmp_path, RECORDS)
    sections: dict[str, Any] = {"fallback": {"model_id": CLAUDE}} if has_fallback else {}
    run = replace(fake.run, config=make_config(**sections))
    if are_over:
        answer_all(fake)
    if unanswered is not None:
        collected(fake, unanswered)
    assert left_to_ask(run, fake.manifest) == (with_fallback if has_fallback else without)


def answer_all(fake: FakeRun) -> None:
    """Take the batch jobs to their end."""
    fake.advance()
    for index, records in enumerate(RECORDS[:2]):
        done = {"total": records, "processed": records, "succeeded": records, "failed": 0}
        fake.service.move(fake.job_name(index), "Completed", **done)
        fake.put_answers(index, answered=range(records), job_id=fake.job_id(index))
    fake.advance()


def test_nobody_knows_what_jobs_left_before_a_collect(tmp_path: Path) -> None:
    """If there is a fallback, it may ask the records that the jobs did not answer."""
    fake = FakeRun(tmp_path, [30, 20])
    run = replace(fake.run, config=make_config(fallback={"model_id": CLAUDE}))
    answer_all(fake)
    assert left_to_ask(run, fake.manifest) is None
