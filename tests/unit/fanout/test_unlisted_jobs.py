"""A job that no listing shows: after its timeout it is asked for by its ARN, and waiting ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bedrock_spark.aws.batch_jobs import BatchJobs, SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import JobNameInUseError, JobRejectedError
from bedrock_spark.fanout import status_of, watch
from bedrock_spark.fanout.targets import former_targets, target_of
from bedrock_spark.fanout.unlisted_jobs import MARGIN_SECONDS, UnlistedJobs, count_answers
from bedrock_spark.run_folder.job_plan import output_prefix
from bedrock_spark.run_folder.ledger import Job, Ledger
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import CLAUDE, make_config
from tests.unit.fanout.test_targets import SONNET, TwoRegions

HOUR = 3600.0
TIMEOUT = 24 * HOUR + MARGIN_SECONDS


def gets(fake: FakeRun) -> int:
    return sum(call.startswith("get ") for call in fake.service.calls)


def hidden_run(fake: FakeRun) -> FakeRun:
    """Submit the jobs of a run; then no listing shows the first one any more."""
    fake.advance()
    fake.controller.flush()
    fake.service.hidden = {fake.job_name(0)}
    return fake


def pass_time(fake: FakeRun, seconds: float, *, restarts: bool = False) -> None:
    """Take a step every half hour."""
    for _ in range(int(seconds // 1800)):
        fake.clock.time += 1800
        if restarts:
            fake.restart()
        fake.advance()
        fake.controller.flush()


def findings(fake: FakeRun) -> list[str]:
    fake.controller.flush()
    return [f["kind"] for f in Ledger(fake.run.storage).load().all_findings()]


@pytest.mark.parametrize("restarts", [False, True])
def test_an_unlisted_job_is_asked_for_after_its_timeout(
    fake_run: Callable[..., FakeRun], restarts: bool
) -> None:
    """Not before. What the service says of it then counts: it completed long ago."""
    fake = hidden_run(fake_run([50] * 2, timeout_hours=24))
    fake.service.move_all("Completed", processed=50)
    pass_time(fake, TIMEOUT - HOUR, restarts=restarts)
    assert gets(fake) == 0
    assert fake.controller.result().active == 1
    pass_time(fake, 2 * HOUR, restarts=restarts)
    assert fake.controller.result().is_done
    assert gets(fake) == 1
    assert findings(fake) == []


def test_a_job_is_asked_for_once_in_ten_minutes() -> None:
    """After its timeout and an hour. A clock that was set back does not delay the next question."""
    unlisted, known_at = UnlistedJobs(24 * HOUR), 1_800_000_000.0
    job = Job("s", 1, "n", "t", SeenJob("arn", "n", "t", "InProgress"), known_at=known_at)
    assert not unlisted.is_due(job, known_at + 25 * HOUR)
    begin = known_at + 25 * HOUR + 1
    asked = [seconds for seconds in range(0, 1801, 60) if unlisted.is_due(job, begin + seconds)]
    assert asked == [0, 600, 1200, 1800]
    assert not unlisted.is_due(job, begin + 1800), "in the same second"
    assert unlisted.is_due(job, begin + 600)


def test_a_job_without_a_known_time_is_timed_from_the_first_look() -> None:
    """Its ledger is of a process that did not note when the ARN became known."""
    unlisted, job = UnlistedJobs(24 * HOUR), Job("s", 1, "n", "t")
    assert not unlisted.is_overdue(job, 1000.0)
    assert not unlisted.is_overdue(job, 1000.0 + 25 * HOUR)
    assert unlisted.is_overdue(job, 1001.0 + 25 * HOUR)


def test_answers_are_counted_once_and_only_in_output_files(tmp_path: Path) -> None:
    """Errors, lines that cannot be read and other files are no answers."""
    answers = [json.dumps({"recordId": f"R{i}", "modelOutput": {}}) for i in range(3)]
    error = json.dumps({"recordId": "R7", "error": {"errorCode": 500, "errorMessage": "x"}})
    storage = LocalStorage(str(tmp_path))
    for name, lines in {
        "job/a.jsonl.out": [answers[0], error, "{torn", answers[1]],
        "job/b.jsonl.out": [answers[1], answers[2]],
        "job/empty.jsonl.out": [],
        "job/a.json": [json.dumps({"recordId": "R9", "modelOutput": {}})],
    }.items():
        storage.write(f"output/{name}", "\n".join(lines).encode())
    assert count_answers(storage, "output/") == 3
    assert count_answers(storage, "output/job/b") == 2
    assert count_answers(storage, "other/") == 0


def test_a_job_that_a_listing_shows_is_not_asked_for(fake_run: Callable[..., FakeRun]) -> None:
    """Even if it takes longer than its timeout: the listing says what it does."""
    fake = fake_run([50], timeout_hours=24)
    fake.advance()
    pass_time(fake, 3 * TIMEOUT)
    assert gets(fake) == 0
    assert fake.controller.result().active == 1


def test_an_unlisted_job_that_is_active_is_waited_for(fake_run: Callable[..., FakeRun]) -> None:
    """It is asked for again every ten minutes at most, not in every step."""
    fake = hidden_run(fake_run([50] * 2, timeout_hours=24))
    pass_time(fake, TIMEOUT)
    for _ in range(60):
        fake.clock.time += 60
        assert fake.advance().active == 2
    assert 1 <= gets(fake) <= 7


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("answered", [0, 30, 50])
def test_a_job_that_nobody_finds_is_lost(
    fake_run: Callable[..., FakeRun], answered: int, restarts: bool
) -> None:
    """It failed, with a finding; the answers in its output folder are kept, and not asked again."""
    fake = fake_run([50] * 2, timeout_hours=24, attempts=2)
    fake.put_shard()
    hidden_run(fake)
    fake.service.forgotten = {fake.job_name(0)}
    if answered:
        fake.put_answers(answered=range(answered), job_id=fake.job_id(0))
    fake.service.move(fake.job_name(1), "Completed", processed=50)
    pass_time(fake, TIMEOUT + HOUR, restarts=restarts)
    assert findings(fake) == ["job_lost"]
    (finding,) = Ledger(fake.run.storage).load().findings
    assert f"has {answered} answers" in finding["detail"]
    lost = Ledger(fake.run.storage).replay()[fake.job_name(0)]
    assert lost.seen is not None
    assert (lost.seen.status, lost.seen.succeeded) == ("Failed", answered)
    assert gets(fake) == 1
    if answered == 50:
        assert fake.controller.result().is_done
        return
    assert fake.job_names() == {fake.job_name(i) for i in (0, 1)} | set(fake.create_calls()[2:])
    assert len(fake.create_calls()) == 3
    fake.service.move_all("Completed", processed=50)
    assert fake.advance().is_done


def test_a_lost_job_that_is_seen_later_is_corrected(fake_run: Callable[..., FakeRun]) -> None:
    """The service is right, and there is a finding. It is not running again."""
    fake = hidden_run(fake_run([50] * 2, timeout_hours=24, attempts=1))
    fake.service.forgotten = {fake.job_name(0)}
    pass_time(fake, TIMEOUT + HOUR)
    fake.service.hidden = set()
    fake.service.move_all("Completed", processed=50)
    fake.restart()
    assert fake.advance().is_done
    assert findings(fake) == ["job_lost", "ledger_disagrees"]


def test_without_the_right_to_ask_the_run_ends_with_the_message(
    fake_run: Callable[..., FakeRun],
) -> None:
    """Nobody can say how the job ended: its records are not asked again."""
    fake = hidden_run(fake_run([50] * 2, timeout_hours=24))
    fake.service.get_error = JobRejectedError("AccessDeniedException: GetModelInvocationJob")
    fake.service.move(fake.job_name(1), "Completed", processed=50)
    began = fake.clock.time
    with pytest.raises(JobRejectedError, match="GetModelInvocationJob"):
        watch(fake.controller)
    assert TIMEOUT < fake.clock.time - began < TIMEOUT + 2 * HOUR
    assert len(fake.create_calls()) == 2
    fake.restart()
    fake.service.get_error = None
    fake.service.move(fake.job_name(0), "Completed", processed=50)
    assert watch(fake.controller).is_done


def test_the_status_asks_for_no_job(fake_run: Callable[..., FakeRun]) -> None:
    """It lists the jobs once, and writes nothing."""
    fake = hidden_run(fake_run([50] * 2, timeout_hours=24))
    fake.service.forgotten = {fake.job_name(0)}
    fake.clock.time += 3 * TIMEOUT
    assert status_of(fake.open_controller(reads_only=True), fake.clock).active == 2
    assert gets(fake) == 0


def test_a_name_that_is_in_use_by_a_job_that_no_listing_shows(
    fake_run: Callable[..., FakeRun],
) -> None:
    """Its ARN was never known. After the timeout the next attempt has another name."""
    fake = fake_run([50], timeout_hours=24, attempts=2)

    def refuse(request: dict[str, Any]) -> None:
        if request["jobName"] == fake.job_name(0):
            raise JobNameInUseError("currently in use")

    fake.service.before_create = refuse
    pass_time(fake, TIMEOUT - HOUR)
    assert fake.job_names() == set()
    pass_time(fake, 3 * HOUR)
    assert fake.job_names() == {fake.job_name(0, 2)}
    assert findings(fake) == ["job_lost"]


def two_regions(folder: Path) -> TwoRegions:
    """Submit two jobs at home and two away; those away write their answers and complete."""
    fake = TwoRegions(folder, [50] * 4)
    fake.advance()
    fake.controller.flush()
    for job in fake.controller.tracker.jobs.values():
        if job.target:
            lines = (f'{{"recordId":"R{i}","modelOutput":{{"a":1}}}}\n' for i in range(50))
            prefix = output_prefix(job.shard_id, job.attempt, job.token)
            fake.west.write(f"{prefix}abc/x.jsonl.out", "".join(lines).encode())
    return fake


def reconfigure(fake: TwoRegions, *targets: dict[str, Any]) -> None:
    config = make_config(targets=list(targets))
    fake.run = Run(fake.run.run_id, config, fake.run.storage, fake.run.aws)
    fake.restart()


@pytest.mark.parametrize("finishes", ["before", "after"])
def test_the_jobs_of_a_removed_target_are_settled(tmp_path: Path, finishes: str) -> None:
    """Where they were made; their outputs are copied from there."""
    fake = two_regions(tmp_path)
    if finishes == "before":
        fake.away.move_all("Completed", processed=50)
    reconfigure(fake, {"model_id": CLAUDE, "max_active_jobs": 2})
    fake.service.move_all("Completed", processed=50)
    fake.advance()
    fake.away.move_all("Completed", processed=50)
    fake.clock.time += HOUR
    fake.restart()
    assert fake.advance().is_done
    answers = [
        count_answers(fake.run.storage, output_prefix(job.shard_id, job.attempt, job.token))
        for job in fake.controller.tracker.jobs.values()
        if job.target
    ]
    assert answers == [50, 50]
    assert findings(fake) == []


def test_a_removed_target_in_a_region_that_is_listed(tmp_path: Path) -> None:
    """The listing of another target shows the jobs; their outputs are where they wrote them."""
    fake = two_regions(tmp_path)
    fake.away.move_all("Completed", processed=50)
    fake.service.move_all("Completed", processed=50)
    other = {"model_id": CLAUDE, "region": "us-west-2", "uri": str(tmp_path / "other")}
    reconfigure(fake, {"model_id": CLAUDE}, other)
    assert fake.advance().is_done
    for job in fake.controller.tracker.jobs.values():
        if job.target:
            prefix = output_prefix(job.shard_id, job.attempt, job.token)
            assert count_answers(fake.run.storage, prefix) == 50


def test_each_job_of_a_region_writes_below_its_own_target(tmp_path: Path) -> None:
    """One listing shows the jobs of both targets; their outputs are in different folders."""
    fake = TwoRegions(tmp_path, [50] * 2)
    west = {"region": "us-west-2", "max_active_jobs": 1}
    reconfigure(
        fake,
        {**west, "model_id": CLAUDE, "uri": str(tmp_path / "first")},
        {**west, "model_id": SONNET, "uri": str(tmp_path / "second")},
    )
    fake.advance()
    for job, folder in zip(fake.controller.tracker.jobs.values(), ("first", "second"), strict=True):
        line = json.dumps({"recordId": "R0", "modelOutput": {}}).encode()
        prefix = output_prefix(job.shard_id, job.attempt, job.token)
        LocalStorage(str(tmp_path / folder / fake.run.run_id)).write(f"{prefix}x.jsonl.out", line)
    fake.away.move_all("Completed", processed=50)
    assert fake.advance().is_done
    for job in fake.controller.tracker.jobs.values():
        prefix = output_prefix(job.shard_id, job.attempt, job.token)
        assert count_answers(fake.run.storage, prefix) == 1


def test_a_removed_target_whose_jobs_nobody_finds(tmp_path: Path) -> None:
    """They are lost after their timeout, and their shards go on at the other targets."""
    fake = two_regions(tmp_path)
    fake.away.forgotten = fake.away.hidden = set(fake.away.jobs)
    reconfigure(fake, {"model_id": CLAUDE, "max_active_jobs": 2})
    fake.service.move_all("Completed", processed=50)
    pass_time(fake, TIMEOUT)
    assert fake.controller.result().active == 2
    pass_time(fake, 2 * HOUR)
    assert findings(fake) == ["job_lost"] * 2
    fake.service.move_all("Completed", processed=50)
    assert fake.advance().is_done


def test_a_job_whose_intent_has_no_place_is_asked_for_in_the_region_of_its_arn(
    tmp_path: Path,
) -> None:
    """Its target is gone. It is settled, and not asked for where it cannot be."""
    fake = two_regions(tmp_path)
    state = Ledger(fake.run.storage).load()
    jobs = [replace(job, place=None) for job in state.jobs.values()]
    config = make_config(targets=[{"model_id": CLAUDE, "max_active_jobs": 2}])
    run = Run(fake.run.run_id, config, fake.run.storage, fake.run.aws)
    home = fake.controller.targets[:1]
    asked: list[str | None] = []

    def jobs_in(aws: AwsSettings) -> BatchJobs:
        asked.append(aws.region)
        return fake.away  # type: ignore[return-value]

    (former,) = former_targets(run, home, jobs, jobs_in)
    assert asked == ["us-west-2"]
    away = [job for job in jobs if job.target]
    assert [target_of((*home, former), job) for job in away] == [former, former]
    assert former.jobs.get(away[0].seen.job_arn if away[0].seen else "") is not None


def test_a_second_job_of_the_name_is_not_the_job_that_no_listing_shows(
    fake_run: Callable[..., FakeRun],
) -> None:
    """Listings show the other job. The job itself is asked for by its own ARN all the same."""
    fake = hidden_run(fake_run([50], timeout_hours=24))
    first = fake.service.jobs[fake.job_name(0)]
    other = replace(first, job_arn=f"{first.job_arn[:-1]}9", status="Stopped")
    fake.service.list = lambda *_, **__: [other]  # type: ignore[method-assign, assignment]
    fake.service.move_all("Completed", processed=50)
    pass_time(fake, TIMEOUT - HOUR)
    assert gets(fake) == 0
    pass_time(fake, 2 * HOUR)
    assert fake.controller.result().is_done
    assert gets(fake) == 1


def test_a_job_that_is_lost_without_its_arn_claims_no_answers(
    fake_run: Callable[..., FakeRun],
) -> None:
    """Nothing says which output is its own. What is found is kept, and the rest is asked again."""
    fake = fake_run([50], timeout_hours=24, attempts=2)
    fake.put_shard()
    fake.put_answers(answered=range(20))

    def refuse(request: dict[str, Any]) -> None:
        if request["jobName"] == fake.job_name(0):
            raise JobNameInUseError("currently in use")

    fake.service.before_create = refuse
    pass_time(fake, TIMEOUT + 2 * HOUR)
    lost = Ledger(fake.run.storage).replay()[fake.job_name(0)]
    assert lost.seen is not None
    assert (lost.seen.succeeded, lost.has_answers) == (None, None)
    assert findings(fake) == ["job_lost"]
    request = fake.service.requests[-1]
    key = request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].split("/run/")[-1]
    assert len(fake.run.storage.read(key).splitlines()) == 30
