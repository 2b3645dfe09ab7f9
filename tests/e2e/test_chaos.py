"""The judge of `make chaos` looks at a real run: faults that are planted there are found."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark.clock import SystemClock
from bedrock_spark.config import parse_config
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.run import Run
from bench.chaos.cycle import KEYS
from bench.chaos.evidence import gather, read_results
from bench.chaos.judge import LEDGER, LEFT_BEHIND, LOST, PAID_TWICE, judge
from bench.chaos.process import Command, Kill, Nursery
from bench.chaos.source import ROLE, config_of, write_source
from tests.e2e.conftest import BUCKET
from tests.models import CLAUDE_MODEL


@pytest.fixture
def local(bedrock: Callable[..., LocalBedrock]) -> LocalBedrock:
    return bedrock({"quotas": {"min_records": 10}})


@pytest.fixture
def run(spark: SparkSession, local: LocalBedrock, tmp_path: Path) -> Run:
    """Return a finished run of the table of chaos, in which nothing went wrong."""
    source = tmp_path / "source.parquet"
    write_source(source)
    values = config_of(f"s3://{BUCKET}/chaos", source, endpoint_url=local.endpoint_url)
    pipeline = Pipeline.open(
        parse_config({**values, "batch": {**values["batch"], "poll_seconds": 0.1}})
    )
    pipeline.run_all(spark)
    return pipeline.run


@pytest.fixture
def kinds(run: Run, local: LocalBedrock) -> Iterator[Callable[[], set[str]]]:
    """Return a function that judges the run; at first it has no fault."""
    expected = {row.key: row.text for row in read_results(run.storage)}

    def judged() -> set[str]:
        return {fault.kind for fault in judge(gather(run, local, KEYS, expected))}

    assert judged() == set()
    return judged


def test_planted_faults_are_found(
    run: Run, local: LocalBedrock, kinds: Callable[[], set[str]]
) -> None:
    """A leftover unit, a temporary object, a lost row, a double payment, a ledger with a hole."""
    bedrock = local.client("bedrock")
    unit = bedrock.create_provisioned_model_throughput(
        modelUnits=1, provisionedModelName="left", modelId=CLAUDE_MODEL
    )["provisionedModelArn"]
    assert kinds() == {LEFT_BEHIND}
    local.advance_clock(3600)
    bedrock.delete_provisioned_model_throughput(provisionedModelId=unit)

    run.storage.write("tasks/round/task", b"1")
    assert kinds() == {LEFT_BEHIND}
    run.storage.delete(["tasks/round/task"])
    assert kinds() == set()

    results = next(o.key for o in run.storage.list("results/shard-"))
    whole = run.storage.read(results)
    cut = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(whole)).slice(1), cut)
    run.storage.write(results, cut.getvalue())
    assert kinds() == {LOST}
    run.storage.write(results, whole)

    job = next(iter(Ledger(run.storage).replay().values()))
    assert job.seen is not None
    request = bedrock.get_model_invocation_job(jobIdentifier=job.seen.job_arn)
    copied = ("modelId", "inputDataConfig", "outputDataConfig")
    bedrock.create_model_invocation_job(
        jobName="paid-again", roleArn=ROLE, **{name: request[name] for name in copied}
    )
    local.advance_clock(86_400)
    assert kinds() == {PAID_TWICE, LEDGER}


def test_a_command_dies_at_its_call(tmp_path: Path, run: Run, local: LocalBedrock) -> None:
    """A command is killed before or after the call that the plan names, and at no other."""
    nursery = Nursery(SystemClock().now(), tmp_path)
    arguments = ("status", run.storage.uri, "--endpoint-url", local.endpoint_url)

    def calls_of(kill: Kill | None) -> tuple[int, int | None]:
        before = sum(local.requests().values())
        process = nursery.start(Command(arguments, seed=1, kill=kill), tmp_path / "log")
        process.join(60)
        return sum(local.requests().values()) - before, process.exitcode

    all_calls, code = calls_of(None)
    assert code == 0
    assert calls_of(Kill(1, "before")) == (0, -9)
    # Calls that began at the same time may arrive, too.
    after_one, code = calls_of(Kill(1, "after"))
    assert (1 <= after_one < all_calls, code) == (True, -9)
    before_three, code = calls_of(Kill(3, "before"))
    assert (before_three <= 2, code) == (True, -9)
    assert nursery.leftovers() == []
