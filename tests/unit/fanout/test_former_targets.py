"""A job is looked for where it was made, whatever the config says of its target since then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.batch_jobs import BatchJobs
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import JobStateUnknownError
from bedrock_spark.fanout import Controller
from bedrock_spark.fanout.targets import targets_of
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import output_prefix
from bedrock_spark.run_folder.ledger import Job, Ledger
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import open_storage
from tests.models import SONNET
from tests.unit.fake_run import RUN_ID, FakeRun
from tests.unit.fakes import CLAUDE, ROLE, FakeBatchJobs, make_config

REGIONS = ("us-east-1", "us-west-2", "eu-west-1")


class ManyRegions(FakeRun):
    """A run whose targets may change. `services`: the service of each Region."""

    def __init__(self, folder: Path, records: list[int], *targets: dict[str, Any]) -> None:
        super().__init__(folder / "run", records)
        self.folder = folder
        self.services = {region: FakeBatchJobs() for region in REGIONS}
        for shard in range(len(records)):
            self.put_shard(shard)
        self.configure(*targets)

    def configure(self, *targets: dict[str, Any]) -> None:
        """Replace the controller by one with these targets. Their URIs are below the folder."""
        resolved = [
            {**target, "uri": str(self.folder / target["uri"])} if "uri" in target else target
            for target in targets
        ]
        config = make_config(targets=resolved, batch={"attempts": 2})
        self.run = Run(RUN_ID, config, self.run.storage, AwsSettings("us-east-1"))
        self.restart()

    def open_controller(self, *_: object, **__: object) -> Controller:
        services = getattr(self, "services", None) or {"us-east-1": self.service}

        def jobs_in(aws: AwsSettings) -> BatchJobs:
            jobs: BatchJobs = services[aws.region or ""]  # type: ignore[assignment]
            return jobs

        targets = targets_of(self.run, jobs_in)
        ledger = Ledger(self.run.storage)
        return Controller(self.run, self.manifest, self.clock, targets, ledger, jobs_in=jobs_in)

    def complete_all(self) -> None:
        """End every job, with an answer to each record where the job writes its output."""
        for service in self.services.values():
            by_name = {r["jobName"]: r for r in service.requests}
            for name, job in service.jobs.items():
                if job.is_settled:
                    continue
                output = by_name[name]["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"]
                lines = (f'{{"recordId":"R{i}","modelOutput":{{"a":1}}}}\n' for i in range(50))
                storage = open_storage(output.rstrip("/"), self.run.aws)
                storage.write(f"{job.job_id}/shard.jsonl.out", "".join(lines).encode())
            service.move_all("Completed", processed=50, succeeded=50)

    def output(self, job: Job) -> list[str]:
        """Return the output of a job in the run folder."""
        prefix = output_prefix(job.shard_id, job.attempt, job.token)
        return [o.key for o in self.run.storage.list(prefix)]

    def requests(self) -> list[tuple[str, dict[str, Any]]]:
        """Return every create request, with its Region."""
        return [(region, r) for region, s in self.services.items() for r in s.requests]


HOME = {"model_id": CLAUDE, "max_active_jobs": 1}
WEST = {"model_id": SONNET, "region": "us-west-2", "max_active_jobs": 1, "uri": "west"}
CHANGES: dict[str, list[dict[str, Any]]] = {
    "nothing": [HOME, WEST],
    "another uri": [HOME, {**WEST, "uri": "west-2"}],
    "another Region": [HOME, {**WEST, "region": "eu-west-1"}],
    "another model": [HOME, {**WEST, "model_id": CLAUDE}],
    "another role": [HOME, {**WEST, "role_arn": ROLE + "New"}],
    "another order": [WEST, HOME],
    "target removed": [HOME],
    "home removed": [WEST],
    "all removed": [],
    "another target in its Region": [HOME, {**WEST, "model_id": CLAUDE, "uri": "other"}],
}


@pytest.mark.parametrize("targets", CHANGES.values(), ids=CHANGES.keys())
def test_running_jobs_are_settled_where_they_were_made(
    tmp_path: Path, targets: list[dict[str, Any]]
) -> None:
    """Their outputs are in the run folder, and nothing is asked a second time."""
    fake = ManyRegions(tmp_path, [50, 50], HOME, WEST)
    fake.advance()
    assert [len(s.jobs) for s in fake.services.values()] == [1, 1, 0]
    fake.configure(*targets)
    assert fake.advance().active == 2
    fake.complete_all()
    assert fake.advance().is_done
    assert len(fake.requests()) == 2
    assert all(len(fake.output(job)) == 1 for job in fake.controller.jobs.values())


@pytest.mark.parametrize("targets", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("exists", [True, False], ids=["created", "not created"])
def test_announced_jobs_are_requested_where_they_were_announced(
    tmp_path: Path, targets: list[dict[str, Any]], exists: bool
) -> None:
    """The replies were lost: a request elsewhere would pay for the same records again."""
    fake = ManyRegions(tmp_path, [50, 50], HOME, WEST)
    for service in fake.services.values():
        service.remembers_tokens = True

    def lose(_: dict[str, Any]) -> None:
        raise JobStateUnknownError("no reply")

    for service in fake.services.values():
        setattr(service, "after_create" if exists else "before_create", lose)
    for _ in range(2):
        fake.advance()
    for service in fake.services.values():
        service.hidden = set(service.jobs)
        service.before_create = service.after_create = lambda _: None
    fake.configure(*targets)
    for _ in range(4):  # a target has one slot, and takes the announced jobs before others
        fake.advance()
        for service in fake.services.values():
            service.hidden.clear()
    assert [len(s.jobs) for s in fake.services.values()] == [1, 1, 0]
    made = {
        (region, r["jobName"], r["modelId"], r["clientRequestToken"], str(r["outputDataConfig"]))
        for region, r in fake.requests()
    }
    assert {(region, model) for region, _, model, _, _ in made} == {
        ("us-east-1", CLAUDE),
        ("us-west-2", SONNET),
    }
    assert len(made) == 2
    fake.complete_all()
    assert fake.advance().is_done


def test_new_jobs_go_only_to_targets_of_the_config(tmp_path: Path) -> None:
    """A former target is listed until its last job is settled, and gets no new jobs."""
    fake = ManyRegions(tmp_path, [50] * 4, HOME, WEST)
    fake.advance()
    fake.configure(HOME)
    west = fake.services["us-west-2"]
    for _ in range(3):
        fake.complete_all()
        fake.advance()
    assert fake.advance().is_done
    assert len(west.requests) == 1
    fake.restart()
    west.calls.clear()
    fake.advance()
    assert west.calls == []


def test_stopping_a_run_stops_the_jobs_of_former_targets(tmp_path: Path) -> None:
    """In their Region."""
    fake = ManyRegions(tmp_path, [50] * 2, HOME, WEST)
    fake.advance()
    fake.configure(HOME)
    fake.advance()
    fake.controller.stop_jobs(fake.controller.tracker.running_jobs(), "user")
    statuses = {j.status for s in fake.services.values() for j in s.jobs.values()}
    assert statuses == {"Stopping"}


@pytest.mark.parametrize("is_lost", [False, True], ids=["in the ledger", "adopted"])
def test_two_targets_in_one_region_have_their_own_folders(tmp_path: Path, is_lost: bool) -> None:
    """One listing shows the jobs of both; each output is copied from its own folder."""
    south = {**WEST, "model_id": CLAUDE, "uri": "south"}
    fake = ManyRegions(tmp_path, [50] * 2, WEST, south)
    fake.advance()
    assert len(fake.services["us-west-2"].jobs) == 2
    if is_lost:
        fake.controller.flush()
        stored = fake.run.storage.list(f"{layout.LEDGER}/")
        fake.run.storage.delete([o.key for o in stored])
        fake.restart()
        fake.advance()
    fake.complete_all()
    assert fake.advance().is_done
    assert all(len(fake.output(job)) == 1 for job in fake.controller.jobs.values())
    assert len(fake.requests()) == 2
