"""A run of a few shards on a fake service: take steps, replace the controller, take more steps."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.fanout import Controller, StepResult, SubmitPolicy, jobs_by_status
from bedrock_spark.fanout.scheduler import AllowAll
from bedrock_spark.fanout.targets import home_target
from bedrock_spark.run_folder.job_plan import JobPlan, plan_job
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import CLAUDE, FakeBatchJobs, FakeClock, make_config

RUN_ID = "run-abcdefgh"
PREPARE_ID = "0a1b2c3d4e5f"


class FakeRun:
    """A run on a fake service, and its controller.

    records: the number of records of each shard
    batch: options of the config's section `batch`; and `slots`, the active jobs that the service
        allows
    """

    def __init__(self, folder: Path, records: list[int], **batch: Any) -> None:
        self.service = FakeBatchJobs(slots=batch.pop("slots", 1000))
        config = make_config(batch=batch)
        self.run = Run(RUN_ID, config, LocalStorage(str(folder)), AwsSettings("us-east-1"))
        shards = [
            Shard(f"shard-{i:05d}-00", n, n, f"{i:064d}", prepare_id=PREPARE_ID)
            for i, n in enumerate(records)
        ]
        self.manifest = RunManifest(RUN_ID, sum(records), "a INT", tuple(shards), (), PREPARE_ID)
        self.clock = FakeClock()
        self.controller = self.open_controller()

    def open_controller(
        self, policy: SubmitPolicy | None = None, *, reads_only: bool = False
    ) -> Controller:
        """Return a new controller, which knows only what is in the run folder."""
        target = home_target(self.run, self.service)  # type: ignore[arg-type]
        return Controller(
            self.run,
            self.manifest,
            self.clock,
            (target,),
            Ledger(self.run.storage),
            policy=policy or AllowAll(),
            reads_only=reads_only,
        )

    def restart(self, policy: SubmitPolicy | None = None) -> None:
        """Replace the controller by a new one, as if its process had been killed."""
        self.controller = self.open_controller(policy)

    def advance(self) -> StepResult:
        """Take one step."""
        return self.controller.advance()

    def plan(self, shard: int = 0, attempt: int = 1) -> JobPlan:
        """Return the plan of an attempt that reads the whole shard with this index."""
        of = self.manifest.shards[shard]
        return plan_job(RUN_ID, of.shard_id, of.sha256, CLAUDE, attempt, prepare_id=of.prepare_id)

    def job_name(self, shard: int = 0, attempt: int = 1) -> str:
        """Return the job name of such an attempt."""
        return self.plan(shard, attempt).job_name

    def put_shard(self, shard: int = 0) -> None:
        """Write the records of a shard: R0, R1, …"""
        of = self.manifest.shards[shard]
        lines = (f'{{"recordId":"R{i}","modelInput":{{}}}}\n' for i in range(of.records))
        self.run.storage.write(of.key, "".join(lines).encode())

    def put_answers(
        self,
        shard: int = 0,
        attempt: int = 1,
        answered: Iterable[int] = (),
        data: bytes = b"",
        job_id: str = "abc",
    ) -> None:
        """Write the output of an attempt's job: answers to these records, or `data`."""
        prefix = self.plan(shard, attempt).output_prefix
        lines = (f'{{"recordId":"R{i}","modelOutput":{{"a":1}}}}\n' for i in answered)
        data = data or "".join(lines).encode()
        self.run.storage.write(f"{prefix}{job_id}/{self.plan(shard).shard_id}.jsonl.out", data)

    def job_id(self, shard: int, attempt: int = 1) -> str:
        """Return the id of a job that the service has; its output is in a folder of this name."""
        return self.service.jobs[self.job_name(shard, attempt)].job_id

    def job_names(self) -> set[str]:
        """Return the names of all jobs that the service has."""
        return set(self.service.jobs)

    def create_calls(self) -> list[str]:
        """Return the job names of all create calls in order, refused ones included."""
        return [c.removeprefix("create ") for c in self.service.calls if c.startswith("create ")]

    def statuses(self) -> dict[str, int]:
        """Return the number of jobs by status in the ledger, after a flush."""
        self.controller.flush()
        return jobs_by_status(Ledger(self.run.storage).replay())
