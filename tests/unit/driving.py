"""A run of some shards on a fake service: drive it, kill the driver, drive it again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.fanout import Controller, StepResult, jobs_by_status
from bedrock_spark.fanout.targets import home_target
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import JobPlan, plan_job
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import CLAUDE, FakeBatchJobs, FakeClock, make_config

RUN_ID = "run-abcdefgh"


class Drive:
    """A run of some shards, and the means to drive it, kill the driver, and drive it again."""

    def __init__(self, folder: Path, records: list[int], **batch: Any) -> None:
        self.service = FakeBatchJobs(slots=batch.pop("slots", 1000))
        config = make_config(batch=batch)
        self.run = Run(RUN_ID, config, LocalStorage(str(folder)), AwsSettings("us-east-1"))
        shards = [Shard(f"shard-{i:05d}-00", n, n, f"{i:064d}") for i, n in enumerate(records)]
        self.manifest = RunManifest(RUN_ID, sum(records), "a INT", tuple(shards), ())
        self.clock = FakeClock()
        self.controller = self.opened()

    def opened(self) -> Controller:
        """A driver that knows only what lies in the run folder."""
        target = home_target(self.run, self.service)  # type: ignore[arg-type]
        return Controller(self.run, self.manifest, self.clock, (target,), Ledger(self.run.storage))

    def restart(self) -> None:
        self.controller = self.opened()

    def advance(self) -> StepResult:
        return self.controller.advance()

    def plan(self, shard: int = 0, attempt: int = 1) -> JobPlan:
        found = self.manifest.shards[shard]
        return plan_job(RUN_ID, found.shard_id, found.sha256, CLAUDE, attempt)

    def name(self, shard: int = 0, attempt: int = 1) -> str:
        return self.plan(shard, attempt).job_name

    def put_shard(self, shard: int = 0) -> None:
        """Write the records of a shard: R0, R1, …"""
        found = self.manifest.shards[shard]
        lines = (f'{{"recordId":"R{i}","modelInput":{{}}}}\n' for i in range(found.records))
        self.run.storage.write(layout.shard_key(found.shard_id), "".join(lines).encode())

    def put_answers(
        self, shard: int = 0, attempt: int = 1, answered: Iterable[int] = (), data: bytes = b""
    ) -> None:
        """Leave output where the job of an attempt writes it: answers to these records."""
        prefix = self.plan(shard, attempt).output_prefix
        lines = (f'{{"recordId":"R{i}","modelOutput":{{"a":1}}}}\n' for i in answered)
        data = data or "".join(lines).encode()
        self.run.storage.write(f"{prefix}abc/{self.plan(shard).shard_id}.jsonl.out", data)

    def names(self) -> set[str]:
        return set(self.service.jobs)

    def created(self) -> list[str]:
        return [c.removeprefix("create ") for c in self.service.calls if c.startswith("create ")]

    def statuses(self) -> dict[str, int]:
        """The jobs as the ledger has them, once what is known is written down."""
        self.controller.flush()
        return jobs_by_status(Ledger(self.run.storage).replay())
