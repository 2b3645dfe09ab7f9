"""The breaker: jobs that answer nothing hold the run, whatever the service says of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.errors import JobsWithoutAnswersError
from bedrock_spark.fanout import StepResult, stop_run, watch
from bedrock_spark.fanout.breaker import FIRST_SHARDS, SHARDS_IN_A_ROW
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Ledger, Streak
from tests.unit.fake_run import FakeRun

RECORDS = 500
# How a job ends without an answer.
FAILURES: dict[str, tuple[str, dict[str, Any]]] = {
    "bad input": ("Failed", {"message": "contains less records (500) than the required minimum"}),
    "too large": ("Failed", {"message": "Input file size exceeds the maximum of 100 MB"}),
    "unknown text": ("Failed", {"message": "The model has reached its end of life"}),
    "no text": ("Failed", {}),
    "all errors": (
        "Completed",
        {"total": RECORDS, "processed": RECORDS, "succeeded": 0, "failed": RECORDS},
    ),
    "partial": ("PartiallyCompleted", {"total": RECORDS, "processed": 9, "succeeded": 0}),
}
ANSWERED = ("Completed", {"total": RECORDS, "processed": RECORDS, "succeeded": RECORDS})


def shard_of(fake: FakeRun, name: str) -> int:
    return next(i for i, shard in enumerate(fake.manifest.shards) if f"-{shard.shard_id}-" in name)


def settle(fake: FakeRun, fails: Callable[[int], bool], failure: str) -> None:
    """End every active job: without an answer if `fails` says so of its shard, or with answers."""
    for name, job in list(fake.service.jobs.items()):
        if not job.is_settled:
            status, more = FAILURES[failure] if fails(shard_of(fake, name)) else ANSWERED
            fake.service.time += 1.0
            fake.service.move(name, status, ended_at=fake.service.time, **more)


def drive(fake: FakeRun, fails: Callable[[int], bool], failure: str) -> StepResult:
    """Take steps, each in a new process, until the run is done or held."""
    for _ in range(200):
        fake.restart()
        result = fake.advance()
        fake.controller.flush()
        if result.is_done or (result.reason is not None and not result.active):
            return result
        settle(fake, fails, failure)
    raise AssertionError("the run does not end")


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize(
    ("shards", "fails", "is_held", "most_jobs"),
    [
        pytest.param(1, lambda i: True, False, 2, id="1 shard fails"),
        pytest.param(2, lambda i: True, False, 4, id="2 shards fail"),
        pytest.param(3, lambda i: True, True, 6, id="3 shards fail"),
        pytest.param(50, lambda i: True, True, 5, id="50 shards fail"),
        pytest.param(3, lambda i: i == 0, False, 4, id="1 bad shard of 3"),
        pytest.param(50, lambda i: i == 0, False, 51, id="the first of 50 is bad"),
        pytest.param(50, lambda i: i == 20, False, 51, id="one bad shard of 50"),
        pytest.param(50, lambda i: i % 2 == 0, False, 75, id="every other shard is bad"),
        pytest.param(50, lambda i: i >= 20, True, 25, id="all fail after 20 shards"),
        pytest.param(50, lambda i: i >= 46, False, 54, id="the last 4 of 50 fail"),
        pytest.param(100, lambda i: i >= 94, False, 106, id="the last 6 of 100 fail"),
        pytest.param(100, lambda i: i >= 85, True, 95, id="the last 15 of 100 fail"),
    ],
)
def test_jobs_that_answer_nothing_hold_the_run(
    fake_run: Callable[..., FakeRun],
    shards: int,
    fails: Callable[[int], bool],
    is_held: bool,
    most_jobs: int,
    failure: str,
) -> None:
    """The first ones, or several in a row; one bad shard does not, and a small run is never held.

    Nothing of a held run goes to the fallback, except shards that failed between others that were
    answered.
    """
    fake = fake_run([RECORDS] * shards, max_active_jobs=5, attempts=2)
    result = drive(fake, fails, failure)
    assert (result.reason is not None, result.is_done) == (is_held, not is_held)
    assert len(fake.job_names()) <= most_jobs
    if is_held:
        answered = sum(not fails(i) for i in range(shards))
        assert result.settled == answered
        assert result.waiting == shards - answered


def test_no_job_is_created_in_the_step_that_holds_the_run_or_later(
    fake_run: Callable[..., FakeRun],
) -> None:
    """One failed job proves nothing, so the slot that it frees is used: that job comes before."""
    fake = fake_run([RECORDS] * 10, max_active_jobs=2, attempts=1)
    fake.advance()
    first = sorted(fake.job_names())[0]
    fake.service.move(first, *FAILURES["no text"][:1], ended_at=fake.service.time)
    assert fake.advance().reason is None
    assert len(fake.job_names()) == 3
    for _ in range(3):
        settle(fake, lambda _: True, "no text")
        assert "answered no record" in str(fake.advance().reason)
        assert len(fake.job_names()) == 3
        fake.restart()


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("slots", [1, 5, 50])
def test_a_shard_that_fails_again_and_again_holds_nothing(
    fake_run: Callable[..., FakeRun], failure: str, slots: int
) -> None:
    """Its jobs count once, even if they are the first ones of the run."""
    fake = fake_run([RECORDS] * 10, max_active_jobs=slots, attempts=10)
    assert drive(fake, lambda i: i == 0, failure).is_done


@pytest.mark.parametrize(
    ("shards", "failing", "is_held"),
    [
        # The first two hold the run; after an answer it takes five in a row.
        (50, range(1), False),
        (50, range(2), True),
        (50, range(1, 5), False),
        (50, range(1, 6), True),
        (50, range(20, 24), False),
        (50, range(20, 25), True),
        (2, range(2), False),
        (3, range(2), True),
        # The run is not held if a tenth of it is left, with the shards that failed.
        (100, range(89, 94), True),
        (100, range(90, 95), False),
    ],
)
def test_the_edges_of_the_breaker(
    fake_run: Callable[..., FakeRun], shards: int, failing: range, is_held: bool
) -> None:
    """One job at a time, so that the shards are tried one after the other."""
    fake = fake_run([RECORDS] * shards, max_active_jobs=1)
    result = drive(fake, failing.__contains__, "bad input")
    assert (result.reason is not None) is is_held
    assert len(fake.job_names()) == (failing.stop if is_held else shards)


def test_jobs_count_in_the_order_in_which_they_ended(fake_run: Callable[..., FakeRun]) -> None:
    """One listing shows several of them. The first that ended had answers, so the run is proven."""
    fake = fake_run([RECORDS] * 9, max_active_jobs=3)
    fake.advance()
    for i, succeeded, ended_at in ((0, 0, 30.0), (1, 0, 20.0), (2, 1, 10.0)):
        fake.service.move(fake.job_name(i), "Completed", succeeded=succeeded, ended_at=ended_at)
    assert fake.advance().reason is None


def test_a_held_run_says_why_and_how_to_go_on(fake_run: Callable[..., FakeRun]) -> None:
    """Equal messages are one, the most frequent first, and error codes stand for their records."""
    fake = fake_run([RECORDS] * 50, max_active_jobs=5)
    fake.advance()
    for i in range(3):
        name, arn = fake.job_name(i), fake.service.jobs[fake.job_name(i)].job_arn
        fake.service.move(name, "Failed", message=f"Batch job {arn} ({name}): no  such model")
    error = {"errorCode": 403, "errorMessage": "The prompt 'secret' is not allowed"}
    line = json.dumps({"recordId": "R0", "modelInput": {"p": "secret"}, "error": error})
    for i in (3, 4):
        fake.put_answers(i, data=line.encode())
        fake.service.move(fake.job_name(i), "Completed", failed=RECORDS, succeeded=0)
    with pytest.raises(JobsWithoutAnswersError) as caught:
        watch(fake.controller)
    message = str(caught.value)
    assert '3 x Failed "Batch job ... (...): no such model"; 2 x Completed with errors' in message
    assert "errors only: code 403." in message
    assert "run submit or run again" in message
    assert "new run_uri" in message
    assert "secret" not in message
    state = Ledger(fake.run.storage).load()
    assert state.hold is not None
    assert state.hold.kind == "breaker"


@pytest.mark.parametrize("failure", FAILURES)
def test_after_a_resume_the_same_shards_are_tried_again(
    fake_run: Callable[..., FakeRun], failure: str
) -> None:
    """By batch, although their attempts were used up; and the run ends with every answer."""
    fake = fake_run([RECORDS] * 12, max_active_jobs=4, attempts=1)
    for i in range(12):
        fake.put_shard(i)
    assert drive(fake, lambda i: True, failure).settled == 0
    fake.restart()
    fake.controller.resume()
    result = drive(fake, lambda i: False, failure)
    assert result.is_done
    answered = {shard_of(fake, name) for name, job in fake.service.jobs.items() if job.succeeded}
    assert answered == set(range(12))
    assert len(fake.job_names()) == 12 + 4


def test_after_a_resume_two_more_failures_hold_the_run_again(
    fake_run: Callable[..., FakeRun],
) -> None:
    """What settled before the resume does not count, neither failures nor answers."""
    fake = fake_run([RECORDS] * 50, max_active_jobs=1)
    drive(fake, lambda i: i >= 20, "no text")
    before = len(fake.job_names())
    fake.restart()
    fake.controller.resume()
    assert Ledger(fake.run.storage).load().streak == Streak()
    assert drive(fake, lambda i: True, "no text").reason is not None
    assert len(fake.job_names()) - before <= FIRST_SHARDS * 2


def test_jobs_that_end_while_the_run_is_held_are_tried_again_too(
    fake_run: Callable[..., FakeRun],
) -> None:
    """They were active when the breaker tripped; what they answer is kept."""
    fake = fake_run([RECORDS] * 50, max_active_jobs=5, attempts=1)
    fake.advance()
    for i in (0, 1):
        fake.service.move(fake.job_name(i), "Failed")
    assert fake.advance().active == 3
    fake.service.move(fake.job_name(2), "Failed", message="contains less records")
    fake.service.move(fake.job_name(3), "Completed", succeeded=RECORDS)
    fake.service.move(fake.job_name(4), "Failed")
    result = fake.advance()
    assert (result.settled, result.active, result.waiting) == (1, 0, 49)
    fake.restart()
    fake.controller.resume()
    assert fake.advance().active == 5
    assert fake.job_names() >= {fake.job_name(i, 2) for i in (0, 1, 2, 4)}


def test_errors_of_a_held_run_are_asked_again_after_the_resume(
    fake_run: Callable[..., FakeRun],
) -> None:
    """A role that may not invoke the model makes every record a 403, which is final otherwise.

    If a later job ends early, the errors of the held jobs stay open.
    """
    fake = fake_run([30] * 3, max_active_jobs=3, attempts=2)
    error = {"errorCode": 403, "errorMessage": "x"}
    lines = (json.dumps({"recordId": f"R{i}", "error": error}) + "\n" for i in range(30))
    data = "".join(lines).encode()
    fake.advance()
    for i in range(3):
        fake.put_shard(i)
        fake.put_answers(i, data=data)
    fake.service.move_all("Completed", succeeded=0, failed=30)
    assert fake.advance().reason is not None
    fake.restart()
    fake.controller.resume()
    assert fake.advance().active == 3
    assert fake.job_names() >= {fake.job_name(i, 2) for i in range(3)}
    fake.put_answers(0, 2, answered=range(10), job_id=fake.job_id(0, 2))
    fake.service.move(fake.job_name(0, 2), "Failed", succeeded=10)
    fake.advance()
    rest = fake.run.storage.read(layout.remainder_key(fake.plan().shard_id, 3))
    assert len(rest.splitlines()) == 20


@pytest.mark.parametrize("status", ["Expired", "Stopped"])
def test_jobs_that_were_never_tried_do_not_count(
    fake_run: Callable[..., FakeRun], status: str
) -> None:
    """The account was busy, or a person stopped them."""
    fake = fake_run([RECORDS] * 10, max_active_jobs=5, attempts=1)
    for _ in range(3):
        assert fake.advance().reason is None
        fake.service.move_all(status)
    assert fake.advance().is_done


def test_jobs_that_the_user_stopped_do_not_count(fake_run: Callable[..., FakeRun]) -> None:
    """They failed while they were being stopped. Then the run goes on."""
    fake = fake_run([RECORDS] * 10, max_active_jobs=5)
    fake.advance()
    stop_run(fake.controller, lambda _: fake.service.move_all("Failed"))
    fake.restart()
    fake.controller.resume()
    assert fake.advance().active == 5
    assert Ledger(fake.run.storage).load().streak == Streak()


def test_a_complete_job_whose_counts_nobody_knows_says_nothing(
    fake_run: Callable[..., FakeRun],
) -> None:
    """The members of the reply are optional: a run must not be held because they are left out."""
    fake = fake_run([RECORDS] * 5)
    fake.advance()
    fake.service.move_all("Completed", total=None, processed=None, succeeded=None, failed=None)
    assert fake.advance().is_done


OUTCOMES = st.lists(st.sampled_from([True, False, None]), max_size=60)


@given(OUTCOMES, st.integers(1, 6), st.integers(1, 3))
def test_whatever_jobs_come_to_no_answered_shard_is_asked_again_and_the_run_ends(
    tmp_path_factory: Any, outcomes: list[bool | None], slots: int, attempts: int
) -> None:
    """Answers, failures and expiries in any order, each step in a new process; then all answer.

    A run is held only after failures of two shards, and no shard is done without a job that
    completed, or attempts that were used up.
    """
    fake = FakeRun(
        tmp_path_factory.mktemp("run"), [30] * 8, max_active_jobs=slots, attempts=attempts
    )
    drawn: Iterator[bool | None] = iter(outcomes)
    endings = {
        True: ("Completed", {"succeeded": 30}),
        False: ("Failed", {}),
        None: ("Expired", {}),
    }
    for _ in range(200):
        fake.restart()
        result = fake.advance()
        if result.is_done:
            break
        if result.reason is not None and not result.active:
            failed = {
                shard_of(fake, n) for n, j in fake.service.jobs.items() if j.status == "Failed"
            }
            assert len(failed) >= FIRST_SHARDS
            fake.controller.resume()
            continue
        for name, job in list(fake.service.jobs.items()):
            if not job.is_settled:
                status, counts = endings[next(drawn, True)]
                fake.service.time += 1.0
                fake.service.move(name, status, ended_at=fake.service.time, **counts)
    assert fake.controller.result().is_done
    done = [shard_of(fake, n) for n, job in fake.service.jobs.items() if job.succeeded]
    assert len(done) == len(set(done))
    for shard in set(range(8)) - set(done):
        jobs = [job for n, job in fake.service.jobs.items() if shard_of(fake, n) == shard]
        assert len(jobs) >= attempts


def test_the_streak_survives_a_snapshot(
    fake_run: Callable[..., FakeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new process counts on where the last one ended, and knows the excused jobs."""
    from bedrock_spark.run_folder.ledger import snapshots

    monkeypatch.setattr(snapshots, "EVERY", 1)
    fake = fake_run([RECORDS] * 20, max_active_jobs=1)
    settled = drive(fake, lambda i: i >= 3, "bad input").settled
    assert settled == 3
    state = Ledger(fake.run.storage).load()
    assert len(state.streak.job_names) == SHARDS_IN_A_ROW
    assert sum(job.is_excused for job in state.jobs.values()) == SHARDS_IN_A_ROW
