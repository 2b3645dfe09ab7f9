"""Simulate a run of 20,000 shards with its real controller, on a clock that never really waits.

The account has 20 slots and the config says 40, so the controller must learn. Job times are
log-normal with a median of two hours. A job's processed records grow not quite evenly, and one job
in a hundred fails without an answer. Calls are counted at the client, with every page of a listing.

Prints one JSON object per line: `{name, value, unit, goal, better, detail}`.
"""

from __future__ import annotations

import argparse
import bisect
import datetime as dt
import heapq
import math
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from botocore.exceptions import ClientError

from bedrock_spark.aws.batch_jobs import BatchJobs
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import parse_config
from bedrock_spark.fanout import Controller, watch
from bedrock_spark.fanout.targets import home_target
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import Lease
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from bench.common.figures import report
from tests.models import CLAUDE

SHARDS, SLOTS, CONFIGURED_SLOTS = 20_000, 20, 40
RECORDS = 1_000
MEDIAN_SECONDS, SIGMA = 7200.0, 0.5
FAILING = 0.01
# The time that a job is Submitted, Validating and Scheduled, before it answers records.
BEFORE_SECONDS = 300.0
RUN_ID = "bench-abcdefgh"
MODEL = CLAUDE
ROLE = "arn:aws:iam::123456789012:role/BedrockBatchInference"


class SimulatedClock:
    """A clock that only `sleep` advances."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class SimulatedJob:
    """A job whose duration and outcome are drawn at random when it is created."""

    request: dict[str, Any]
    arn: str
    begun: float
    ended: float
    fails: bool
    wobble: float

    def processed(self, now: float) -> int:
        """Return the records processed at this time; the pace varies by up to a quarter."""
        share = (now - self.begun - BEFORE_SECONDS) / (self.ended - self.begun - BEFORE_SECONDS)
        if self.fails or share <= 0:
            return 0
        share = min(share, 1.0)
        share += 0.05 * math.sin(2 * math.pi * (3 * share + self.wobble)) * share * (1 - share)
        return int(RECORDS * min(max(share, 0.0), 1.0))

    def summary(self, now: float) -> dict[str, Any]:
        done = now >= self.ended
        status = "Submitted" if now < self.begun + BEFORE_SECONDS else "InProgress"
        if done:
            status = "Failed" if self.fails else "Completed"
        answered = self.processed(now)
        ended = {"endTime": dt.datetime.fromtimestamp(self.ended, dt.UTC)} if done else {}
        return {
            "jobArn": self.arn,
            "jobName": self.request["jobName"],
            "clientRequestToken": self.request["clientRequestToken"],
            "modelId": f"arn:aws:bedrock:us-east-1::foundation-model/{self.request['modelId']}",
            "status": status,
            "message": "Internal error" if done and self.fails else None,
            "submitTime": dt.datetime.fromtimestamp(self.begun, dt.UTC),
            "totalRecordCount": RECORDS,
            "processedRecordCount": answered,
            "successRecordCount": answered,
            "errorRecordCount": 0,
            **ended,
        }


class SimulatedBedrock:
    """The two methods of a boto3 client that the fan-out calls."""

    def __init__(self, clock: SimulatedClock, seed: int = 11) -> None:
        self.clock = clock
        self.calls: Counter[str] = Counter()
        self.jobs: list[SimulatedJob] = []
        self.refused = 0
        self._names: set[str] = set()
        self._begun: list[float] = []
        self._active: list[tuple[float, int]] = []
        self._random = random.Random(seed)

    def create_model_invocation_job(self, **request: Any) -> dict[str, Any]:
        self.calls["create"] += 1
        now = self.clock.now()
        while self._active and self._active[0][0] <= now:
            heapq.heappop(self._active)
        if request["jobName"] in self._names:
            raise _error("ConflictException", "The provided job name is currently in use.")
        if len(self._active) >= SLOTS:
            self.refused += 1
            raise _error("ServiceQuotaExceededException", "The sum of jobs has reached the quota.")
        job = self._draw(request, now)
        self._names.add(request["jobName"])
        heapq.heappush(self._active, (job.ended, len(self.jobs)))
        self.jobs.append(job)
        self._begun.append(now)
        return {"jobArn": job.arn}

    def _draw(self, request: dict[str, Any], now: float) -> SimulatedJob:
        took = BEFORE_SECONDS + self._random.lognormvariate(
            math.log(MEDIAN_SECONDS - BEFORE_SECONDS), SIGMA
        )
        fails = self._random.random() < FAILING
        took *= self._random.random() if fails else 1.0
        arn = f"arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/{len(self.jobs):012d}"
        return SimulatedJob(request, arn, now, now + took, fails, self._random.random())

    def list_model_invocation_jobs(self, **request: Any) -> dict[str, Any]:
        self.calls["list"] += 1
        now = self.clock.now()
        after = request.get("submitTimeAfter")
        start = bisect.bisect_right(self._begun, after.timestamp()) if after else 0
        if "statusEquals" in request:
            start = max(start, len(self.jobs) - 10 * SLOTS)  # earlier jobs have all ended
        start = max(start, int(request.get("nextToken", 0)))
        page: list[dict[str, Any]] = []
        status = request.get("statusEquals")
        for number in range(start, len(self.jobs)):
            shown = self.jobs[number].summary(now)
            if status is None or shown["status"] == status:
                page.append(shown)
            if len(page) == request["maxResults"]:
                return {"invocationJobSummaries": page, "nextToken": str(number + 1)}
        return {"invocationJobSummaries": page}


def _error(code: str, message: str) -> ClientError:
    reply = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ClientError(reply, "CreateModelInvocationJob")  # type: ignore[arg-type]


def utilisation(jobs: list[SimulatedJob]) -> float:
    """Return the share of slot time in use, until only the last 20 jobs are left."""
    begun = jobs[0].begun
    until = sorted(job.ended for job in jobs)[-SLOTS]
    busy = sum(max(0.0, min(job.ended, until) - job.begun) for job in jobs)
    return busy / (SLOTS * (until - begun))


def a_run(folder: Path, shards: int) -> tuple[Run, RunManifest]:
    config = parse_config(
        {
            "run_uri": str(folder),
            "model": {"id": MODEL},
            "request": {"prompt": "{{ body }}", "max_tokens": 40},
            "batch": {"role_arn": ROLE, "region": "us-east-1", "max_active_jobs": CONFIGURED_SLOTS},
        }
    )
    made = tuple(Shard(layout.shard_id(i, 0), RECORDS, 200_000, f"{i:064x}") for i in range(shards))
    manifest = RunManifest(RUN_ID, RECORDS * shards, "a INT", made, ())
    return Run(RUN_ID, config, LocalStorage(str(folder)), AwsSettings("us-east-1")), manifest


def control(folder: Path, shards: int) -> None:
    """Control a run to its end and report its figures."""
    random.seed(5)
    run, manifest = a_run(folder, shards)
    clock = SimulatedClock()
    bedrock = SimulatedBedrock(clock)
    target = home_target(run, BatchJobs(bedrock, clock))
    began = time.process_time()
    with Lease(run.storage, clock) as lease:
        controller = Controller(run, manifest, clock, (target,), Ledger(run.storage), lease)
        result = watch(controller)
        controller.flush()
    seconds = time.process_time() - began
    assert result.is_done
    assert len({job.request["clientRequestToken"] for job in bedrock.jobs}) == len(bedrock.jobs)
    report_figures(bedrock, seconds, clock.now() - 1_800_000_000.0)


def report_figures(bedrock: SimulatedBedrock, cpu_seconds: float, simulated: float) -> None:
    jobs = len(bedrock.jobs)
    detail = {"jobs": jobs, "slots": SLOTS, "configured_slots": CONFIGURED_SLOTS}
    weeks = round(simulated / 604_800, 1)
    report(
        "slot_utilisation",
        utilisation(bedrock.jobs),
        "share",
        0.99,
        "higher",
        **detail,
        weeks=weeks,
    )
    calls = sum(bedrock.calls.values())
    report("api_calls_per_job", calls / jobs, "calls", 3.0, "lower", **bedrock.calls)
    share = bedrock.refused / bedrock.calls["create"]
    report("quota_error_share", share, "share", 0.01, "lower", refused=bedrock.refused)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory_mb = memory / (1e6 if sys.platform == "darwin" else 1e3)
    report("controller_peak_memory", memory_mb, "MB", None, "lower", simulation_included=True)
    per_job_ms = 1e3 * cpu_seconds / jobs
    report("controller_cpu", cpu_seconds, "s", None, "lower", per_job_ms=per_job_ms)


def replay(folder: Path) -> None:
    """Measure the replay of the run's ledger, with its snapshots and without."""
    storage = LocalStorage(str(folder))
    objects = len(storage.list(f"{layout.LEDGER}/"))
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        jobs = len(Ledger(storage).replay())
        seconds.append(time.perf_counter() - began)
        shutil.rmtree(folder / layout.SNAPSHOTS, ignore_errors=True)
    report(
        "ledger_replay",
        seconds[0],
        "s",
        5.0,
        "lower",
        jobs=jobs,
        objects=objects,
        without_snapshots_s=round(seconds[1], 3),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=SHARDS)
    shards = parser.parse_args().shards
    with tempfile.TemporaryDirectory(prefix="bench-fanout-") as folder:
        control(Path(folder), shards)
        replay(Path(folder))


if __name__ == "__main__":
    main()
