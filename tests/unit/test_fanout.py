"""The fan-out: every shard is answered once, whatever the service and the driver go through."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark import layout
from bedrock_spark.batch_jobs import ACTIVE, SETTLED
from bedrock_spark.errors import (
    ConfigError,
    JobRejectedError,
    JobStateUnknownError,
    JobThrottledError,
)
from bedrock_spark.fanout import Standing, jobs_by_status, open_fanout, progress_of, watch
from bedrock_spark.ledger import Ledger
from bedrock_spark.progress import Progress
from bedrock_spark.storage import LocalStorage

from .driving import RUN_ID, Drive
from .fakes import make_config


@pytest.fixture
def drive(tmp_path: Path) -> Callable[..., Drive]:
    return lambda records, **batch: Drive(tmp_path / "run", records, **batch)


def test_every_shard_gets_one_job_and_then_all_is_done(drive: Callable[..., Drive]) -> None:
    """And a step after the end does nothing."""
    d = drive([50, 60, 70])
    assert d.advance() == Standing(3, 0, 3, 0, 180, 0)
    d.service.move_all("InProgress", processed=10)
    assert d.advance() == Standing(3, 0, 3, 0, 180, 30)
    d.service.move_all("Completed", processed=50)
    done = d.advance()
    assert (done.is_done, done.settled, done.processed) == (True, 3, 150)
    assert d.advance() == done
    assert d.created() == [d.name(0), d.name(1), d.name(2)]
    assert d.statuses() == {"Completed": 3}


def test_no_more_jobs_than_slots(drive: Callable[..., Drive]) -> None:
    """As one ends, the next begins."""
    d = drive([50] * 5, max_active_jobs=2)
    for settled, active in ((0, 2), (2, 2), (4, 1), (5, 0)):
        standing = d.advance()
        assert (standing.settled, standing.active) == (settled, active)
        assert standing.waiting == 5 - settled - active
        d.service.move_all("Completed")
    assert len(d.created()) == 5


def test_a_small_shard_is_never_submitted(drive: Callable[..., Drive]) -> None:
    """The service refuses it; it is the fallback's, and nobody waits for it."""
    d = drive([9, 10, 3])
    d.advance()
    d.service.move_all("Completed")
    standing = d.advance()
    assert (standing.is_done, standing.shards, standing.records) == (True, 1, 10)
    assert d.names() == {d.name(1)}
    assert d.advance().is_done


def test_nothing_to_submit_is_done_at_once(drive: Callable[..., Drive]) -> None:
    """A run of small shards only."""
    d = drive([1, 2])
    assert d.advance().is_done
    assert d.created() == []


def test_the_intent_is_in_the_ledger_before_the_call(drive: Callable[..., Drive]) -> None:
    """A driver that dies in the call leaves word of what it was about to do."""
    d = drive([50, 50])
    seen: list[dict[str, int]] = []

    def look(_: dict[str, Any]) -> None:
        seen.append(jobs_by_status(Ledger(d.run.storage).replay()))

    d.service.before_create = look
    d.advance()
    assert seen == [{"Unknown": 2}, {"Unknown": 2}]
    assert d.statuses() == {"Submitted": 2}


def test_no_free_slot_uses_up_no_attempt(drive: Callable[..., Drive]) -> None:
    """The shard waits, as attempt 1, until the account has room."""
    d = drive([50] * 3, slots=1, attempts=1)
    for _ in range(30):
        if d.advance().is_done:
            break
        d.service.move_all("Completed", processed=50)
        d.clock.time += 60
    assert d.names() == {d.name(i) for i in range(3)}
    assert len(d.created()) > 3
    assert d.statuses() == {"Completed": 3}


def test_a_refusal_for_want_of_a_slot_is_learnt_from(drive: Callable[..., Drive]) -> None:
    """The account's cap is not run into at every step; and it is tried again in time."""
    d = drive([50] * 30, slots=2, max_active_jobs=6)
    for _ in range(5):
        d.advance()
    refused = len(d.created()) - 2
    assert refused == 2  # once, and once more at the next step: it may have been a moment's trouble
    d.service.slots = 6
    for _ in range(20):
        d.service.move_all("Completed")
        d.advance()
    assert d.advance().is_done
    assert len(d.created()) == 30 + refused


@pytest.mark.parametrize("error", [JobStateUnknownError("x"), JobThrottledError("x")])
def test_after_a_lost_reply_the_job_is_looked_for_before_it_is_asked_for_again(
    drive: Callable[..., Drive], error: Exception
) -> None:
    """It was created: the next step finds it, and creates nothing."""
    d = drive([50])

    def lose(_: dict[str, Any]) -> None:
        raise error

    d.service.after_create = lose
    assert d.advance().active == 0
    d.service.after_create = lambda request: None
    assert d.advance().active == 1
    assert d.service.calls == [f"list {RUN_ID}", f"create {d.name()}", f"list {RUN_ID}"]
    assert d.statuses() == {"Submitted": 1}


def test_a_call_that_never_arrived_is_made_again_as_the_same_attempt(
    drive: Callable[..., Drive],
) -> None:
    """With the same token, after a look."""
    d = drive([50])

    def fail(_: dict[str, Any]) -> None:
        raise JobStateUnknownError("x")

    d.service.before_create = fail
    d.advance()
    d.service.before_create = lambda request: None
    d.advance()
    assert d.created() == [d.name(), d.name()]
    first, second = d.service.requests
    assert first == second
    assert d.names() == {d.name()}


def test_after_trouble_the_step_submits_no_more(drive: Callable[..., Drive]) -> None:
    """A service that does not answer is not asked twenty times in a row."""
    d = drive([50] * 5)

    def fail(_: dict[str, Any]) -> None:
        raise JobStateUnknownError("x")

    d.service.before_create = fail
    d.advance()
    assert len(d.created()) == 1


def test_a_job_of_our_name_is_ours(drive: Callable[..., Drive]) -> None:
    """The list was late to show it; it is adopted, not made again under another name."""
    d = drive([50])
    d.service.hidden = {d.name()}

    def lose(_: dict[str, Any]) -> None:
        raise JobStateUnknownError("x")

    d.service.after_create = lose
    d.advance()
    assert d.advance().active == 0  # the create says that the name is taken; it cannot be seen
    d.service.hidden = set()
    assert d.advance().active == 1
    assert d.names() == {d.name()}
    assert d.statuses() == {"Submitted": 1}


def test_a_conflict_is_resolved_by_a_look_for_that_name(drive: Callable[..., Drive]) -> None:
    """In the same step."""
    d = drive([50])
    d.service.create(
        {"jobName": d.name(), "clientRequestToken": d.plan().token}
    )  # by a driver of which nothing is known
    d.service.calls.clear()
    d.service.hidden = {d.name()}

    def show(_: dict[str, Any]) -> None:
        d.service.hidden = set()

    d.service.before_create = show
    assert d.advance().active == 1
    assert d.service.calls == [f"list {RUN_ID}", f"create {d.name()}", f"list {d.name()}"]


def test_a_job_that_is_found_settled_is_noted_as_that(drive: Callable[..., Drive]) -> None:
    """The ledger says how an adopted job ended, not that it was submitted."""
    d = drive([50])
    d.service.create({"jobName": d.name(), "clientRequestToken": d.plan().token})
    d.service.move_all("Completed", succeeded=50)
    d.service.hidden = {d.name()}

    def show(_: dict[str, Any]) -> None:
        d.service.hidden = set()

    d.service.before_create = show
    assert d.advance().is_done
    assert d.statuses() == {"Completed": 1}
    d.restart()
    assert d.statuses() == {"Completed": 1}


def test_an_attempt_that_runs_is_waited_for_though_no_more_are_allowed(
    drive: Callable[..., Drive],
) -> None:
    """Lowering `attempts` abandons no job that is being paid for."""
    d = drive([50], attempts=2)
    d.advance()
    d.service.move_all("Expired")
    d.advance()
    batch = d.run.config.batch.model_copy(update={"attempts": 1})
    d.run = replace(d.run, config=d.run.config.model_copy(update={"batch": batch}))
    d.restart()
    assert (d.advance().is_done, d.advance().active) == (False, 1)
    d.service.move(d.name(0, 2), "Completed")
    assert d.advance().is_done


@pytest.mark.parametrize("status", ["Expired", "Failed", "Stopped"])
def test_a_job_that_left_nothing_is_tried_again_up_to_its_attempts(
    drive: Callable[..., Drive], status: str
) -> None:
    """As another attempt: another name, token and place."""
    d = drive([50], attempts=3)
    for attempt in (1, 2, 3):
        assert not d.advance().is_done
        assert d.names() == {d.name(0, a) for a in range(1, attempt + 1)}
        d.service.move_all(status)
    assert d.advance().is_done
    assert d.created() == [d.name(0, a) for a in (1, 2, 3)]
    assert len({r["clientRequestToken"] for r in d.service.requests}) == 3


@pytest.mark.parametrize("status", ["Completed", "PartiallyCompleted"])
def test_a_job_that_ended_is_never_repeated(drive: Callable[..., Drive], status: str) -> None:
    """Even with every record an error: what it left out goes to the fallback."""
    d = drive([50], attempts=3)
    d.advance()
    d.service.move_all(status, processed=0, succeeded=0, failed=50)
    assert d.advance().is_done
    assert d.created() == [d.name()]


@pytest.mark.parametrize("status", ["Failed", "Stopped", "Expired"])
def test_answers_of_a_job_that_ended_badly_are_not_paid_for_again(
    drive: Callable[..., Drive], status: str
) -> None:
    """The next attempt is given what is left, as an object of its own; its bytes never differ."""
    d = drive([50], attempts=3)
    d.put_shard()
    d.advance()
    d.put_answers(answered=range(30))
    d.service.move_all(status, processed=30)
    assert d.advance().active == 1
    d.restart()
    assert d.advance().active == 1
    second = d.service.requests[1]
    key = layout.remainder_key(d.plan().shard_id, 2)
    assert second["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].endswith(key)
    asked = [json.loads(line)["recordId"] for line in d.run.storage.read(key).splitlines()]
    assert asked == [f"R{i}" for i in range(30, 50)]
    assert len(d.created()) == 2
    d.service.move_all("Completed", processed=20)
    assert d.advance().is_done


def test_what_is_left_below_the_minimum_is_the_fallbacks(drive: Callable[..., Drive]) -> None:
    """The service refuses so small a job; and the next driver does not read it all again."""
    d = drive([50], attempts=3)
    d.put_shard()
    d.advance()
    d.put_answers(answered=range(41))
    d.service.move_all("Expired", processed=41)
    assert d.advance().is_done
    d.restart()
    assert d.fanout.standing().is_done
    assert d.created() == [d.name()]


def test_a_record_that_may_be_asked_again_is_left(drive: Callable[..., Drive]) -> None:
    """And one that will never be answered is not; bad lines say nothing about any record."""
    d = drive([30], attempts=2)
    d.put_shard()
    d.advance()
    lines = [
        {"recordId": "R0", "error": {"errorCode": 500, "errorMessage": "x"}},
        {"recordId": "R1", "error": {"errorCode": 400, "errorMessage": "x"}},
        {"recordId": "R2", "modelOutput": {"text": "a\u2028b\u0085c"}},
    ]
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    d.put_answers(data=data + b'{"recordId": "R3", "modelOut')
    d.service.move_all("Failed", processed=3)
    d.advance()
    rest = d.run.storage.read(layout.remainder_key(d.plan().shard_id, 2))
    asked = [json.loads(line)["recordId"] for line in rest.splitlines()]
    assert asked == ["R0", *(f"R{i}" for i in range(3, 30))]


@pytest.mark.parametrize(
    ("message", "again"),
    [
        ("Internal error", True),
        (None, True),
        ("contains less records (1) than the required minimum of: 100", False),
    ],
)
def test_a_failed_job_is_submitted_again_where_that_may_help(
    drive: Callable[..., Drive], message: str | None, again: bool
) -> None:
    """The same bytes would fail for the same reason: then the shard is the fallback's."""
    d = drive([50], attempts=2)
    d.advance()
    d.service.move_all("Failed", message=message)
    assert d.advance().is_done is not again
    assert len(d.created()) == 1 + again


@pytest.mark.parametrize(
    "message",
    [
        "Customer doesn't have permissions to invokeModel",
        "Could not validate GetObject permissions to access S3 bucket",
    ],
)
def test_a_role_that_fails_every_job_holds_the_run(
    drive: Callable[..., Drive], message: str
) -> None:
    """On any machine nothing more is submitted until somebody runs it again; what runs goes on.

    The failed job was no attempt: the fallback is not asked for what a mended role would answer.
    """
    d = drive([50] * 3, attempts=1, max_active_jobs=2)
    d.advance()
    d.service.move(d.name(0), "Failed", message=message)
    standing = d.advance()
    assert (standing.active, standing.waiting) == (1, 2)
    assert message in str(standing.reason)
    assert "batch.role_arn" in str(standing.reason)
    d.restart()
    assert d.advance().reason == standing.reason
    d.service.move(d.name(1), "Completed", processed=50)
    with pytest.raises(JobRejectedError, match=r"batch\.role_arn"):
        watch(d.fanout)
    assert len(d.created()) == 2
    d.restart()
    d.fanout.resume()
    d.restart()  # resumed for good
    assert d.advance().reason is None
    assert d.names() == {d.name(0), d.name(1), d.name(2), d.name(0, 2)}


def test_an_empty_output_is_no_answer(drive: Callable[..., Drive]) -> None:
    """Nor is an output manifest, which jobs without output have too: the shard goes as a whole."""
    d = drive([50], attempts=2)
    d.advance()
    prefix = d.plan().output_prefix
    d.run.storage.write(f"{prefix}abc/{d.plan().shard_id}.jsonl.out", b"")
    d.run.storage.write(f"{prefix}abc/{layout.OUTPUT_MANIFEST_FILE}", b"{}")
    d.service.move_all("Failed", processed=0)
    assert not d.advance().is_done
    assert d.names() == {d.name(0, 1), d.name(0, 2)}


def test_after_a_rejection_nothing_is_submitted_and_what_runs_goes_on(
    drive: Callable[..., Drive],
) -> None:
    """To its end; then the service's message is raised. Once it is mended, the rest follows."""
    d = drive([50] * 3)

    def reject(request: dict[str, Any]) -> None:
        if request["jobName"] == d.name(1):
            raise JobRejectedError("no")

    def settle(_: Progress) -> None:
        d.service.move_all("Completed")

    d.service.before_create = reject
    with pytest.raises(JobRejectedError):
        watch(d.fanout, settle)
    assert d.statuses() == {"Completed": 1, "Unknown": 2}
    d.service.before_create = lambda request: None
    d.restart()
    assert d.advance().active == 2
    assert sorted(d.names()) == [d.name(i) for i in range(3)]


class Killed(BaseException):
    """The driver is gone, in the middle of a call."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_driver_that_is_killed_in_a_create_leaves_exactly_one_job_per_attempt(
    drive: Callable[..., Drive], when: str, nth: int
) -> None:
    """Whether or not the call had its effect."""
    d = drive([50] * 3)

    def kill(_: dict[str, Any]) -> None:
        if len(d.service.requests) == nth:
            raise Killed

    setattr(d.service, f"{when}_create", kill)
    with pytest.raises(Killed):
        d.advance()
    setattr(d.service, f"{when}_create", lambda request: None)
    d.restart()
    assert d.advance().active == 3
    assert sorted(d.names()) == [d.name(i) for i in range(3)]
    d.service.move_all("Completed")
    assert d.advance().is_done


def test_a_driver_killed_before_its_intent_is_written_has_done_nothing(
    drive: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write comes first; without it nothing is asked of the service."""
    d = drive([50])

    def kill(self: LocalStorage, key: str, data: bytes) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "create", kill)
        with pytest.raises(Killed):
            d.advance()
    assert d.created() == []
    d.restart()
    assert d.advance().active == 1


STEPS = st.lists(
    st.sampled_from(
        ["advance", "kill before", "kill after", "lose", "no slot", "restart", "settle"]
    ),
    max_size=25,
)


@given(STEPS, st.randoms(use_true_random=False))
def test_whatever_happens_no_attempt_has_two_jobs_and_all_ends(
    tmp_path_factory: Any, steps: list[str], random: Any
) -> None:
    """Kills, lost replies, full accounts and every way to end, in any order; then calm."""
    d = Drive(tmp_path_factory.mktemp("run"), [50, 9, 70, 80], attempts=2, max_active_jobs=2)

    def fail(error: BaseException) -> Callable[[dict[str, Any]], None]:
        def hook(_: dict[str, Any]) -> None:
            raise error

        return hook

    calm: Callable[[dict[str, Any]], None] = lambda request: None  # noqa: E731
    for step in steps:
        d.service.before_create = fail(Killed()) if step == "kill before" else calm
        d.service.after_create = (
            fail(Killed())
            if step == "kill after"
            else fail(JobStateUnknownError("x"))
            if step == "lose"
            else calm
        )
        d.service.slots = 1 if step == "no slot" else 10
        if step == "settle":
            for name, job in list(d.service.jobs.items()):
                if not job.is_settled and random.random() < 0.5:
                    status = random.choice(sorted(SETTLED | ACTIVE))
                    d.service.move(name, status, processed=random.choice([0, 5]))
        elif step == "restart":
            d.restart()
        else:
            try:
                d.advance()
            except Killed:
                d.restart()
    d.service.before_create = d.service.after_create = calm
    d.service.slots = 10
    for _ in range(60):
        d.service.move_all("Completed", processed=1)
        d.clock.time += 3600
        if d.advance().is_done:
            break
    assert d.advance().is_done
    for shard in (0, 2, 3):
        own = [d.name(shard, a) for a in (1, 2) if d.name(shard, a) in d.names()]
        assert own[0] == d.name(shard, 1)
        first = d.service.jobs[own[0]]
        if len(own) == 2:
            assert first.status in ("Failed", "Expired", "Stopped")
    assert not {d.name(1, 1), d.name(1, 2)} & d.names()
    taken = Counter(d.created())
    assert d.names() <= taken.keys()


def test_a_status_that_is_not_known_is_waited_for(drive: Callable[..., Drive]) -> None:
    """It is not over, so nothing is submitted in its place."""
    d = drive([50])
    d.advance()
    d.service.move_all("Pondering")
    assert not d.advance().is_done
    assert d.created() == [d.name()]


def test_jobs_of_other_runs_are_left_alone(drive: Callable[..., Drive]) -> None:
    """The account has others; even one whose name holds ours."""
    d = drive([50])
    d.service.create(
        {"jobName": f"x-{RUN_ID}-shard-00000-00-a1-00000000", "clientRequestToken": "t"}
    )
    d.advance()
    assert list(Ledger(d.run.storage).replay()) == [d.name()]


def test_watching_pauses_between_steps_and_tells_how_far_it_is(drive: Callable[..., Drive]) -> None:
    """A pause of poll_seconds, give or take a fifth, on the run's clock; none after the end."""
    d = drive([50, 50], poll_seconds=100)
    told: list[str] = []

    def observe(progress: Any) -> None:
        told.append(f"{progress.done}/{progress.total}")
        if len(told) == 3:
            d.service.move_all("Completed")

    assert watch(d.fanout, observe).is_done
    assert told == ["0/2", "0/2", "0/2", "2/2"]
    assert len(d.clock.waits) == 3
    assert all(80 <= w <= 120 for w in d.clock.waits)


def test_progress_in_words() -> None:
    """What the line on the screen says."""
    progress = progress_of(Standing(5, 2, 2, 1, 250_000, 123_456))
    assert (progress.stage, progress.done, progress.total) == ("batch", 2, 5)
    said = "shards settled, 2 active, 1 waiting, 123,456 of 250,000 records processed"
    assert progress.detail == said


def test_a_local_run_folder_has_no_batch_jobs(drive: Callable[..., Drive]) -> None:
    """Bedrock reads S3 only; said before anything is submitted."""
    d = drive([50])
    with pytest.raises(ConfigError, match=r"^run_uri = .*: Bedrock reads and writes S3 only"):
        open_fanout(d.run, d.manifest, d.clock)


def test_a_changed_number_of_slots_takes_effect(drive: Callable[..., Drive]) -> None:
    """The config of a run may change between two calls."""
    d = drive([50] * 4, max_active_jobs=1)
    assert d.advance().active == 1
    d.run = replace(d.run, config=make_config(batch={"max_active_jobs": 3}))
    d.restart()
    assert d.advance().active == 3


def test_jobs_are_counted_by_status(drive: Callable[..., Drive]) -> None:
    """For the report; one of which no reply came is unknown."""
    d = drive([50, 50, 50])

    def lose(request: dict[str, Any]) -> None:
        if request["jobName"] == d.name(2):
            raise JobStateUnknownError("x")

    d.service.before_create = lose
    d.advance()
    d.service.move(d.name(0), "Completed")
    d.service.before_create = lose
    d.advance()
    assert d.statuses() == {"Completed": 1, "Submitted": 1, "Unknown": 1}
    assert jobs_by_status([]) == {}
