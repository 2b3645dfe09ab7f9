"""The scheduler on its own: which attempts one step submits, and at which target."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.fanout.account_jobs import OtherJobs
from bedrock_spark.fanout.attempts import announced_job
from bedrock_spark.fanout.scheduler import AllowAll, Choice, Scheduler, SubmitPolicy
from bedrock_spark.fanout.slots import Slots
from bedrock_spark.fanout.targets import Target
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import JobPlan, Place, plan_job
from bedrock_spark.run_folder.ledger import ExtraAttempt, Job, LedgerState
from bedrock_spark.run_folder.ledger.events import Finished
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.unit.fake_run import RUN_ID
from tests.unit.fakes import CLAUDE, ROLE, FakeBatchJobs, make_config

NOW = 1_800_000_000.0
RECORDS = 50
SHARDS = [Shard(f"shard-{i:05d}-00", RECORDS, 5_000, f"{i:064d}", 0, "p") for i in range(6)]
# An attempt as (shard index, attempt number, name of the target).
Attempt = tuple[int, int, str]


class Limited:
    """A policy that allows `allowed` jobs. asked: the shard index and records of each question."""

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.asked: list[tuple[int, int]] = []

    def allows(self, plan: JobPlan, records: int, jobs: Mapping[str, Job]) -> str | None:
        self.asked.append((index_of(plan.shard_id), records))
        return None if len(self.asked) <= self.allowed else "no money"


def index_of(shard_id: str) -> int:
    return [s.shard_id for s in SHARDS].index(shard_id)


def job_of(shard: int, status: str | None, attempt: int = 1, target: str = "", **more: Any) -> Job:
    """Return a job with this status; None: it is announced, and no listing has shown it."""
    plan = plan_of_attempt(shard, attempt, target)
    seen = None if status is None else SeenJob(f"arn/{shard}", plan.job_name, plan.token, status)
    return Job(plan.shard_id, attempt, plan.job_name, plan.token, seen, target=target, **more)


def plan_of_attempt(shard: int, attempt: int = 1, target: str = "") -> JobPlan:
    of = SHARDS[shard]
    return plan_job(RUN_ID, of.shard_id, of.sha256, CLAUDE, attempt, prepare_id="p", target=target)


def scheduler_of(
    folder: Path,
    slots: Mapping[str, int],
    *jobs: Job,
    shards: int = len(SHARDS),
    policy: SubmitPolicy | None = None,
    extra_attempts: Mapping[str, ExtraAttempt] | None = None,
) -> tuple[Scheduler, FakeBatchJobs]:
    """Return a scheduler of the first `shards` shards, and the service that it lists jobs with.

    slots: by the name of the target
    jobs: the jobs in the ledger
    """
    service = FakeBatchJobs()
    run = Run(RUN_ID, make_config(), LocalStorage(str(folder)), AwsSettings("us-east-1"))
    targets = tuple(
        Target(name, CLAUDE, ROLE, "us-east-1", service, Slots(most))  # type: ignore[arg-type]
        for name, most in slots.items()
    )
    state = LedgerState({j.job_name: j for j in jobs}, extra_attempts=dict(extra_attempts or {}))
    tracker = ShardTracker(SHARDS[:shards], 3, state)
    other_jobs = OtherJobs(RUN_ID, targets)
    return Scheduler(run, targets, tracker, other_jobs, policy or AllowAll()), service


def attempts_in(choice: Choice) -> list[Attempt]:
    return [(index_of(p.shard_id), p.attempt, p.target) for p in choice.plans]


@pytest.mark.parametrize(
    ("slots", "jobs", "expected"),
    [
        pytest.param({"": 2}, [], [(0, 1, ""), (1, 1, "")], id="shards in order"),
        pytest.param({"": 9}, [], [(i, 1, "") for i in range(6)], id="more slots than shards"),
        pytest.param({"": 0}, [], [], id="no slots"),
        pytest.param({"": 2}, [job_of(0, "InProgress")], [(1, 1, "")], id="active job has a slot"),
        pytest.param({"": 1}, [job_of(0, "Completed")], [(1, 1, "")], id="settled job has none"),
        pytest.param({"": 1}, [job_of(0, "Expired")], [(0, 2, "")], id="second attempt"),
        pytest.param({"": 1}, [job_of(3, None)], [(3, 1, "")], id="announced first"),
        pytest.param(
            {"": 3},
            [job_of(5, None), job_of(2, None)],
            [(5, 1, ""), (2, 1, ""), (0, 1, "")],
            id="announced in the order of the ledger, then new",
        ),
        pytest.param(
            {"": 3},
            [job_of(1, None, attempt=2), job_of(1, "Failed")],
            [(1, 2, ""), (0, 1, ""), (2, 1, "")],
            id="announced second attempt",
        ),
        pytest.param(
            {"": 1, "west": 3},
            [],
            [(0, 1, "west"), (1, 1, "west"), (2, 1, ""), (3, 1, "west")],
            id="target with most free slots",
        ),
        pytest.param(
            {"": 1, "west": 1},
            [job_of(0, "InProgress"), job_of(1, None), job_of(2, None, target="west")],
            [(2, 1, "west")],
            id="announced at a full target",
        ),
        pytest.param(
            {"": 2, "west": 0},
            [job_of(4, None, target="gone")],
            [(4, 1, "gone"), (0, 1, "")],
            id="announced at a target that is gone",
        ),
    ],
)
def test_attempts_are_chosen_while_slots_are_free(
    tmp_path: Path, slots: dict[str, int], jobs: list[Job], expected: list[Attempt]
) -> None:
    """Announced attempts come first; a new one goes to the target with the most free slots.

    An announced attempt stays at its target; if that is no longer configured, at the first one.
    """
    scheduler, _ = scheduler_of(tmp_path, slots, *jobs)
    choice = scheduler.choose(NOW, refusals=0)
    assert attempts_in(choice) == expected
    assert (choice.finished, choice.stopped_by_policy) == ([], None)


def test_an_announced_attempt_is_submitted_as_it_was_announced(tmp_path: Path) -> None:
    """Its name, token, input and output place are those in the ledger."""
    of = SHARDS[1]
    key = layout.remainder_key(of.shard_id, 2)
    plan = plan_job(
        RUN_ID, of.shard_id, "f" * 64, CLAUDE, 2, prepare_id="p", input_key=key, records=20
    )
    scheduler, _ = scheduler_of(tmp_path, {"": 1}, job_of(1, "Expired"), announced_job(plan, NOW))
    assert scheduler.choose(NOW, refusals=0).plans == [plan]


def test_an_extra_attempt_reads_its_own_input(tmp_path: Path) -> None:
    """It belongs to a shard whose first job completed."""
    shard_id = SHARDS[0].shard_id
    extra = ExtraAttempt(2, layout.remainder_key(shard_id, 2), 12, "e" * 64)
    scheduler, _ = scheduler_of(
        tmp_path, {"": 9}, job_of(0, "Completed"), shards=1, extra_attempts={shard_id: extra}
    )
    (plan,) = scheduler.choose(NOW, refusals=0).plans
    place = Place("us-east-1", CLAUDE)
    assert plan == plan_job(
        *(RUN_ID, shard_id, "e" * 64, CLAUDE, 2),
        prepare_id="p",
        input_key=extra.input_key,
        records=12,
        place=place,
    )


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.integers(0, 6))
def test_no_slot_is_used_twice_and_none_is_wasted(
    tmp_path_factory: Any, slots: list[int], shards: int
) -> None:
    """No shard gets two jobs; every free slot gets one while shards wait."""
    by_target = {f"target-{i}": most for i, most in enumerate(slots)}
    folder = tmp_path_factory.getbasetemp()
    scheduler, _ = scheduler_of(folder, by_target, shards=shards)
    attempts = attempts_in(scheduler.choose(NOW, refusals=0))
    assert len({shard for shard, _, _ in attempts}) == len(attempts)
    assert len(attempts) == min(sum(slots), shards)
    used = Counter(target for _, _, target in attempts)
    assert all(used[target] <= most for target, most in by_target.items())


@pytest.mark.parametrize(
    ("allowed", "jobs", "asked", "expected", "waiting"),
    [
        pytest.param(0, [], [0], [], [0, 1, 2, 3, 4, 5], id="none"),
        pytest.param(
            2, [], [0, 1, 2], [(0, 1, ""), (1, 1, "")], [2, 3, 4, 5], id="refused new attempt"
        ),
        pytest.param(
            1, [job_of(3, None)], [3, 0], [(3, 1, "")], [0, 1, 2, 4, 5], id="after an announced one"
        ),
        pytest.param(0, [job_of(3, None)], [3], [], [0, 1, 2, 4, 5], id="refused announced one"),
        pytest.param(9, [], [0, 1, 2, 3], [(i, 1, "") for i in range(4)], [4, 5], id="all"),
    ],
)
def test_the_policys_reason_ends_the_choice(
    tmp_path: Path,
    allowed: int,
    jobs: list[Job],
    asked: list[int],
    expected: list[Attempt],
    waiting: list[int],
) -> None:
    """The refused shard waits at the head of the queue; an announced one was never in it."""
    policy = Limited(allowed)
    scheduler, _ = scheduler_of(tmp_path, {"": 4}, *jobs, policy=policy)
    choice = scheduler.choose(NOW, refusals=0)
    assert attempts_in(choice) == expected
    assert choice.stopped_by_policy == ("no money" if allowed < 4 else None)
    assert policy.asked == [(shard, RECORDS) for shard in asked]
    assert [index_of(s) for s in scheduler.tracker.waiting_shards()] == waiting


def test_a_shard_that_was_pushed_back_is_chosen_later(tmp_path: Path) -> None:
    """Once the policy allows it, for example because the budget was raised."""
    scheduler, _ = scheduler_of(tmp_path, {"": 2}, policy=Limited(0))
    for _ in range(3):
        assert scheduler.choose(NOW, refusals=0).plans == []
    scheduler.policy = AllowAll()
    assert attempts_in(scheduler.choose(NOW, refusals=0)) == [(0, 1, ""), (1, 1, "")]


def test_a_refused_announced_attempt_gets_its_shard_no_second_place_in_the_queue(
    tmp_path: Path,
) -> None:
    """Otherwise the shard would get two jobs in one step once its announced job has ended."""
    scheduler, _ = scheduler_of(tmp_path, {"": 9}, job_of(0, None), shards=2, policy=Limited(0))
    assert scheduler.choose(NOW, refusals=0).plans == []
    scheduler.tracker.update(job_of(0, "Expired"))
    scheduler.policy = AllowAll()
    assert attempts_in(scheduler.choose(NOW, refusals=0)) == [(0, 2, ""), (1, 1, "")]


def put_output(storage: LocalStorage, shard: int, answered: int) -> None:
    """Write a shard's records, and the answers of its first attempt to `answered` of them."""
    shard_id = SHARDS[shard].shard_id
    ids = [f"R{i}" for i in range(RECORDS)]
    records = "".join(json.dumps({"recordId": i, "modelInput": {}}) + "\n" for i in ids)
    storage.write(SHARDS[shard].key, records.encode())
    answers = "".join(json.dumps({"recordId": i, "modelOutput": {}}) + "\n" for i in ids[:answered])
    prefix = plan_of_attempt(shard).output_prefix
    storage.write(f"{prefix}abc/{shard_id}.jsonl.out", answers.encode())


@pytest.mark.parametrize(
    ("answered", "why"),
    [(41, "too few records are left"), (50, "every record is answered")],
)
@pytest.mark.parametrize("allowed", [9, 0])
def test_a_shard_whose_rest_is_too_small_is_finished(
    tmp_path: Path, answered: int, why: str, allowed: int
) -> None:
    """Its slot goes to the next shard. Its event is in `finished`, also if the policy then stops.

    The config's `shards.min_records` is 10.
    """
    scheduler, _ = scheduler_of(
        tmp_path, {"": 1}, job_of(0, "Expired"), shards=2, policy=Limited(allowed)
    )
    put_output(LocalStorage(str(tmp_path)), 0, answered)
    choice = scheduler.choose(NOW, refusals=0)
    assert choice.finished == [Finished(SHARDS[0].shard_id, why, NOW)]
    assert attempts_in(choice) == ([(1, 1, "")] if allowed else [])
    assert scheduler.tracker.is_done(SHARDS[0].shard_id)
    assert not scheduler.tracker.is_done(SHARDS[1].shard_id)


def test_a_rest_that_is_just_large_enough_is_submitted(tmp_path: Path) -> None:
    """The policy is asked about the records of the rest, not of the shard."""
    policy = Limited(9)
    scheduler, _ = scheduler_of(tmp_path, {"": 1}, job_of(0, "Expired"), shards=1, policy=policy)
    put_output(LocalStorage(str(tmp_path)), 0, 40)
    choice = scheduler.choose(NOW, refusals=0)
    assert attempts_in(choice) == [(0, 2, "")]
    assert choice.plans[0].records == 10
    assert choice.finished == []
    assert policy.asked == [(0, 10)]


@pytest.mark.parametrize(
    ("jobs", "calls"),
    [
        ([], 1),
        ([job_of(0, None), job_of(1, "Completed")], 1),
        ([job_of(0, "Expired"), job_of(1, "Completed")], 1),
        ([job_of(0, "Completed"), job_of(1, "Completed")], 0),
        ([job_of(0, "InProgress"), job_of(1, "Submitted")], 0),
        ([job_of(0, "InProgress"), job_of(1, "Completed")], 0),
    ],
    ids=["new", "announced", "second attempt", "all done", "all active", "active and done"],
)
def test_other_jobs_are_counted_only_if_there_is_work(
    tmp_path: Path, jobs: list[Job], calls: int
) -> None:
    """Without a shard to submit, the count would be a call for nothing."""
    scheduler, service = scheduler_of(tmp_path, {"": 0}, *jobs, shards=2)
    assert scheduler.choose(NOW, refusals=0) == Choice()
    assert service.looks == calls


def test_jobs_of_other_runs_use_slots(tmp_path: Path) -> None:
    """They have the same quota: three slots, two of them used by others."""
    scheduler, service = scheduler_of(tmp_path, {"": 3})
    for name in ("other-1", "other-2"):
        service.create({"jobName": name, "clientRequestToken": name})
    assert attempts_in(scheduler.choose(NOW, refusals=0)) == [(0, 1, "")]


@pytest.mark.parametrize(("refusals", "calls"), [(0, 1), (1, 2)])
def test_a_refusal_makes_the_next_count_due_earlier(
    tmp_path: Path, refusals: int, calls: int
) -> None:
    """Ten minutes after the last count, instead of hours."""
    scheduler, service = scheduler_of(tmp_path, {"": 1})
    scheduler.choose(NOW, refusals=0)
    scheduler.choose(NOW + 600, refusals=refusals)
    assert service.looks == calls
