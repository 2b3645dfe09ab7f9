"""How far a run is, by its folder alone, and what is left to pay."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from bedrock_spark.browse.standing import standing_of, waiting_of
from bedrock_spark.report.gather import read_known
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.ledger.events import Event, Held, Resumed, Submitting
from bedrock_spark.run_folder.run import Run
from tests.unit.browse.finished_run import finished_run
from tests.unit.browse.test_page import end_job, submit_job
from tests.unit.fakes import FakeClock

PRICES = {"source": "none", "batch": {"input": "1", "output": "1"}}


def append(run: Run, event: Event) -> None:
    ledger = Ledger(run.storage)
    ledger.load()
    ledger.append([event])


def test_shards_are_waiting_then_active_then_settled(tmp_path: Path) -> None:
    """A job that is announced counts as active: its ARN may be written later."""
    run, clock = finished_run(tmp_path, (120, 120, 5)), FakeClock()

    def now() -> tuple[str, int, int, int]:
        standing = standing_of(run, read_known(run), clock.now())
        assert (standing.shards, standing.records, standing.is_finished) == (2, 240, False)
        return standing.stage, standing.waiting, standing.active, standing.settled

    assert now() == ("prepared", 2, 0, 0)
    submit_job(run, clock.now())
    assert now() == ("batch", 1, 1, 0)
    append(run, Submitting("shard-00001-00", 1, "other", "u", clock.now()))
    assert now() == ("batch", 0, 2, 0)
    end_job(run, clock.now())
    assert now() == ("batch", 0, 1, 1)


def test_a_run_that_is_not_prepared_or_was_cleaned_has_no_shards(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    cleaned = standing_of(run, None, 0.0)
    assert (cleaned.stage, cleaned.is_finished, cleaned.shards) == ("cleaned", True, 0)
    (tmp_path / layout.MANIFEST_FILE).unlink()
    new = standing_of(run, read_known(run), 0.0)
    assert (new.stage, new.is_finished, new.shards) == ("preparing", False, 0)


def test_a_hold_is_told_until_somebody_resumes_the_run(tmp_path: Path) -> None:
    run = finished_run(tmp_path, (120,))
    append(run, Held("breaker", "its jobs answer nothing", 1.0))
    hold = standing_of(run, read_known(run), 2.0).hold
    assert hold is not None
    assert (hold.kind, hold.reason) == ("breaker", "its jobs answer nothing")
    append(run, Resumed(3.0))
    assert standing_of(run, read_known(run), 4.0).hold is None


def test_what_waits_has_a_price_if_one_is_known(tmp_path: Path) -> None:
    priced = finished_run(tmp_path / "a", (120, 120), prices=PRICES)
    free = finished_run(tmp_path / "b", (120, 120), prices={"source": "none"})
    before = waiting_of(priced, read_known(priced))
    assert (before.shards, before.records, before.active) == (2, 240, 0)
    assert before.cost is not None
    assert waiting_of(free, read_known(free)).cost is None
    submit_job(priced, FakeClock().now())
    after = waiting_of(priced, read_known(priced))
    assert (after.shards, after.records) == (1, 120)
    assert (after.active, after.active_records) == (1, 4)
    assert after.cost == before.cost / Decimal(2)
