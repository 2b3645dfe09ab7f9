"""`run` waits for the output of jobs that claim answers, and no longer than 15 minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.fanout.scheduler import OUTPUT_SECONDS
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.pipeline.repeats import await_output
from bedrock_spark.run_folder.ledger import Job
from tests.unit.fakes import FakeClock, make_config

SPARK: Any = None


class CollectedTwice(Pipeline):
    """A pipeline whose shard lacks 5 answers until the clock is at `comes_at`."""

    comes_at = float("inf")
    settled_at = 0.0

    def collect(self, spark: Any) -> list[ReconciledShard]:
        return [ReconciledShard(unit="s0", unfound=0 if self.clock.now() >= self.comes_at else 5)]

    def jobs(self) -> dict[str, Job]:
        seen = SeenJob("arn", "n", "t", "Completed")
        return {"n": Job("s0", 1, "n", "t", seen, settled_at=self.settled_at)}


@pytest.mark.parametrize(("comes_after", "waited"), [(0, 0), (90, 120), (1e9, OUTPUT_SECONDS - 30)])
def test_late_output_is_collected(
    tmp_path: Path, clock: FakeClock, comes_after: float, waited: float
) -> None:
    """It is looked for once a minute; the time counts from when the job was seen to have ended."""
    pipeline = CollectedTwice.open(make_config(str(tmp_path)), clock)
    assert isinstance(pipeline, CollectedTwice)
    began = clock.now()
    pipeline.settled_at, pipeline.comes_at = began - 30, began + comes_after

    def collect() -> list[ReconciledShard]:
        return pipeline.collect(SPARK)

    (shard,) = await_output(collect(), collect, pipeline.jobs, pipeline.observe, clock)
    assert clock.now() - began == waited
    assert shard.unfound == (5 if comes_after > OUTPUT_SECONDS else 0)
