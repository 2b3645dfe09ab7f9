"""The files that a job reads: one or several, compared with the manifest before it is created."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark.errors import RunFolderError
from bedrock_spark.fanout import leased_controller, watch
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report.values import all_outcomes
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import require_manifest
from tests.e2e.conftest import BUCKET, provision
from tests.e2e.kill_points import EmulatedClock, run_of, write_run
from tests.spark_sessions import make_config

FAULTS = {"quotas": {"min_records": 10}}


@pytest.mark.parametrize("is_deleted", [True, False])
def test_no_job_is_created_for_a_shard_that_is_not_as_prepare_wrote_it(
    bedrock: Callable[..., LocalBedrock], is_deleted: bool
) -> None:
    """Deleted or overwritten by something else: the run is refused, and nothing is paid."""
    local = bedrock(FAULTS, speed=0)
    run, clock = run_of("broken", local.endpoint_url), EmulatedClock(local.endpoint_url)
    manifest = write_run(run)
    key = manifest.shards[1].key
    data = run.storage.read(key)
    if is_deleted:
        run.storage.delete([key])
    else:
        run.storage.write(key, data[: data.index(b"\n") + 1])
    with (
        pytest.raises(RunFolderError, match="1 files of 2 shards are not as prepare wrote them"),
        leased_controller(run, manifest, clock),
    ):
        pass
    assert local.usage()["jobs"] == []
    run.storage.write(key, data)
    with leased_controller(run, manifest, clock) as controller:
        assert watch(controller).is_done


def test_a_settled_shard_may_be_deleted(bedrock: Callable[..., LocalBedrock]) -> None:
    """Only what a job may still read is compared."""
    local = bedrock(FAULTS, speed=0)
    run, clock = run_of("settled", local.endpoint_url), EmulatedClock(local.endpoint_url)
    manifest = write_run(run)
    with leased_controller(run, manifest, clock) as controller:
        assert watch(controller).is_done
    run.storage.delete([manifest.shards[0].key])
    with leased_controller(run, manifest, clock) as controller:
        assert watch(controller).is_done


def test_jobs_that_read_several_files(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock], tmp_path: Path
) -> None:
    """Every row has an answer, and none is paid for twice, though jobs end early.

    A job reads the files of its shard, or of what is left of it; the output of each has its name.
    """
    source, uri = tmp_path / "source.parquet", f"s3://{BUCKET}/runs/folders"
    bodies = [f"Question {n}: " + "x" * 200 for n in range(400)]
    pq.write_table(pa.table({"id": list(range(400)), "body": bodies}), source)
    local = bedrock(
        {
            "quotas": {"min_records": 10, "max_file_bytes": 15_000, "max_job_bytes": 45_000},
            "jobs": [
                {"nth": [1, 2], "end": "Stopped", "processed_share": 0.5},
                {"nth": [3], "end": "Failed", "message": "Internal error"},
            ],
        }
    )
    config = make_config(
        uri,
        endpoint_url=local.endpoint_url,
        source={"format": "parquet", "path": str(source), "key": ["id"]},
        request={"prompt": "{{ body }}", "max_tokens": 40},
        shards={"max_records": 120, "min_records": 10, "max_bytes": 15_000, "max_files": 3},
        fallback={"model_id": provision(local)},
    )
    pipeline = Pipeline.open(config)
    report = pipeline.run_all(spark)
    assert report.outcomes == all_outcomes({"ok": 400})
    usage = local.usage()
    assert usage["paid_again"]["records"] == 0
    assert {job["input_uri"][-1] for job in usage["jobs"]} == {"/"}
    storage = pipeline.run.storage
    manifest = require_manifest(storage)
    assert max(len(shard.files) for shard in manifest.shards) == 3
    inputs = [job["input_uri"].removeprefix(f"{uri}/") for job in usage["jobs"]]
    assert sum(key.startswith(layout.REMAINDERS) for key in inputs) == 2
    assert (len(inputs), len(manifest.shards), report.attempts) == (6, 4, 7)
    outputs = [stored.key.split("/") for stored in storage.list(f"{layout.OUTPUT}/")]
    for job, key in zip(usage["jobs"], inputs, strict=True):
        names = {f"{stored.key.rsplit('/', 1)[1]}.out" for stored in storage.list(key)}
        job_id = job["job_arn"].rsplit("/", 1)[1]
        written = {name for *_, folder, name in outputs if folder == job_id}
        assert written == {*names, layout.OUTPUT_MANIFEST_FILE}
