"""The stage of a run, and what blocks it: the same in `status` as in the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bedrock_spark.cli.status_table import status_table
from bedrock_spark.fanout import Status, status_of, status_unprepared
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.publication import why_not_final
from bedrock_spark.report.gather import gather_report, read_known
from bedrock_spark.report.values import Ending
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.canary_results import Canary, add_try
from bedrock_spark.run_folder.fallback_end import note_fallback_ended
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.ledger.events import Held
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.run_folder.published import DONE, WRITING, Publication, Publications
from bedrock_spark.run_folder.report_file import WAITING
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import CLAUDE, make_config, report_json


def status(fake: FakeRun) -> Status:
    return status_of(fake.open_controller(reads_only=True), fake.clock)


def write_report(fake: FakeRun, run_id: str | None = None, **values: Any) -> None:
    report = report_json(run_id=run_id or fake.run.run_id, **values)
    fake.run.storage.write(layout.REPORT_FILE, json.dumps(report).encode())


def test_a_run_passes_its_stages_in_order(fake_run: Callable[..., FakeRun]) -> None:
    """Each is told by what the stage has left in the run folder."""
    fake = fake_run([50, 50])
    fake.run = replace(fake.run, config=make_config(results={"path": "s3://lake/answers"}))
    storage = fake.run.storage
    assert status_unprepared(fake.run, fake.clock).stage == "preparing"
    seen = [status(fake)]
    fake.advance()
    seen.append(status(fake))
    fake.service.move_all("Completed", processed=50)
    fake.advance()
    seen.append(status(fake))
    storage.write(layout.RECONCILIATION_FILE, b"")
    seen.append(status(fake))
    storage.write(f"{layout.tasks_prefix('round')}task", b"1 20")
    seen.append(status(fake))
    storage.delete([f"{layout.tasks_prefix('round')}task"])
    storage.write(layout.ended_task_key("round"), b"")  # its driver was killed
    notes = Publications(storage)
    notes.note("s3://lake/answers", Publication("overwrite", WRITING, "x"))
    seen.append(status(fake))
    notes.note("s3://lake/answers", Publication("overwrite", DONE, "x"))
    seen.append(status(fake))
    assert [each.stage for each in seen] == [
        "prepared",
        "batch",
        "batch jobs over",
        "collected",
        "fallback",
        "collected",
        "published",
    ]
    assert [each.is_finished for each in seen] == [False] * 6 + [True]
    assert seen[-1].published == ("s3://lake/answers",)
    assert seen[-1].blocked is None


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_run_is_over_when_its_results_are_final(
    fake_run: Callable[..., FakeRun], has_ended: bool
) -> None:
    """Rows that the fallback gave up keep neither the status nor the results waiting."""
    fake = fake_run([50])
    fake.run = replace(fake.run, config=make_config(fallback={"model_id": CLAUDE}))
    fake.advance()
    fake.service.move_all("Completed", processed=50)
    fake.advance()
    fake.run.storage.write(layout.RECONCILIATION_FILE, b"")
    write_report(fake, outcomes={"ok": 49, "missing": 1}, unanswered=1)
    if has_ended:
        note_fallback_ended(fake.run.storage, "rounds", fake.clock.now())
    reconciled = [ReconciledShard(unit="shard-0", rows=50, unanswered=1)]
    state, now = Ledger(fake.run.storage).load(), fake.clock.now()
    wait = why_not_final(fake.run, fake.manifest, reconciled, state, now, is_over=False)
    assert (wait is None) == status(fake).is_finished == has_ended


def test_the_numbers_are_those_of_the_report(fake_run: Callable[..., FakeRun]) -> None:
    """Permanent errors are no unanswered records: before the report that is not known."""
    fake = fake_run([100])
    fake.advance()
    fake.service.move_all("Completed", total=100, processed=100, succeeded=83, failed=17)
    fake.advance()
    assert (status(fake).unanswered, status(fake).outcomes) == (17, None)
    outcomes = {"ok": 83, "error": 14, "missing": 3}
    write_report(fake, outcomes=outcomes, unanswered=3)
    assert (status(fake).unanswered, status(fake).outcomes) == (3, outcomes)
    write_report(fake, outcomes={"ok": 0, WAITING: 100}, unanswered=0)
    assert (status(fake).unanswered, status(fake).outcomes) == (17, None)
    fake.run.storage.write(layout.REPORT_FILE, b"damaged")
    assert status(fake).unanswered == 17
    write_report(fake, run_id="another", outcomes=outcomes, unanswered=3)
    assert (status(fake).unanswered, status(fake).outcomes) == (17, None)


def test_a_run_with_unanswered_rows_and_a_fallback_is_not_finished(
    fake_run: Callable[..., FakeRun],
) -> None:
    """The same command would ask them."""
    fake = fake_run([100])
    fake.advance()
    fake.service.move_all("Completed", processed=100)
    fake.advance()
    fake.run.storage.write(layout.RECONCILIATION_FILE, b"")
    write_report(fake, outcomes={"ok": 97, "missing": 3}, unanswered=3)
    assert status(fake).is_finished
    with_fallback = make_config(fallback={"model_id": "amazon.nova-lite-v1:0"})
    fake.run = replace(fake.run, config=with_fallback)
    assert not status(fake).is_finished


@pytest.mark.parametrize("kind", ["stopped", "refused", "breaker", "no_slots"])
def test_a_hold_blocks_a_run(fake_run: Callable[..., FakeRun], kind: str) -> None:
    """With its kind and its reason; a run that is over is not blocked by it."""
    fake = fake_run([50])
    fake.controller.note([Held(kind, "because", fake.clock.now())])
    assert status(fake).blocked == {"by": kind, "reason": "because"}


def test_a_budget_that_is_too_low_blocks_a_run(fake_run: Callable[..., FakeRun]) -> None:
    """As soon as the canary has shown what a record costs."""
    fake = fake_run([50, 50])
    fake.run = replace(
        fake.run,
        config=make_config(
            budget={"max_cost_usd": 0.01}, prices={"batch": {"input": 1, "output": 1}}
        ),
    )
    assert status(fake).blocked is None
    add_try(fake.run.storage, Canary("m", 0.0, 5, 5, 0, 500, 100, 100, ()))
    blocked = status(fake).blocked
    assert blocked is not None
    assert blocked["by"] == "budget"
    assert "will cost about" in blocked["reason"]


def test_the_error_of_the_last_command_is_told(fake_run: Callable[..., FakeRun]) -> None:
    """Such as the canary's: nothing else in the run folder says so."""
    fake = fake_run([50])
    assert status(fake).last_error is None
    error = {"kind": "CanaryError", "message": "canary: 5 of 5 records were refused"}
    write_report(fake, outcomes={}, unanswered=0, state="failed", error=error)
    assert status(fake).last_error == error
    assert status_unprepared(fake.run, fake.clock).last_error == error
    assert ("last error", f"CanaryError: {error['message']}") in status_table(status(fake))


def test_the_cost_is_the_sum_of_the_report(fake_run: Callable[..., FakeRun]) -> None:
    """Its parts, too; and what the fallback may have been paid for since then is named."""
    prices = {"batch": {"input": 1, "output": 1}, "fallback": {"input": 3, "output": 3}}
    fake = fake_run([50])
    config = make_config(prices=prices, fallback={"model_id": CLAUDE})
    fake.run = replace(fake.run, config=config)
    add_try(fake.run.storage, Canary(CLAUDE, 0.0, 5, 5, 0, 500, 100, 100, ()))
    fake.advance()
    assert status(fake).cost == {"batch": 0, "fallback": 0, "canary": 0.4, "total": 0.4}
    fake.service.move_all("Completed", processed=50)
    fake.advance()
    batch = (status(fake).cost or {})["batch"]
    assert batch > 0
    assert status(fake).cost_lacks == ()
    uses = [ModelUse(CLAUDE, "standard", 5, {"input": 600, "output": 400})]
    uses.append(ModelUse("gone", "standard", 2, {"input": 1, "output": 1}))
    counts = {"rows": 50, "outcomes": {"ok": 48, "missing": 2}, "unanswered": 2}
    unit = ReconciledShard(unit="s", **counts, fallback_models=tuple(uses))
    report = gather_report(
        *(fake.run, read_known(fake.run, fake.manifest), [unit], {}, Ending("unfinished"), 60.0)
    )
    fake.run.storage.write(layout.REPORT_FILE, json.dumps(report.as_json()).encode())
    fake.run.storage.write(layout.RECONCILIATION_FILE, b"")
    shown = status(fake)
    assert shown.cost == report.cost
    assert shown.cost == {
        "batch": batch,
        "fallback": 3,
        "canary": 0.4,
        "total": pytest.approx(batch + 3.4),
    }
    assert report.unpriced == ["2 answers of gone"]
    assert shown.cost_lacks == ("2 answers of gone", "fallback since 1970-01-01T00:01:00Z")
    row = dict(status_table(shown))["cost"]
    assert row.endswith(
        "2 answers of gone not known, fallback since 1970-01-01T00:01:00Z not known"
    )
    note_fallback_ended(fake.run.storage, "it answers nothing", 60.0)
    assert status(fake).cost_lacks == ("2 answers of gone",)
