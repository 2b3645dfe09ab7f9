"""What a job would read is compared with the manifest before the job is created."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bedrock_emulator import LocalBedrock
from bedrock_spark.errors import RunFolderError
from bedrock_spark.fanout import leased_controller, watch
from tests.e2e.kill_points import EmulatedClock, run_of, write_run

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
        pytest.raises(RunFolderError, match="1 of 2 shards are not as prepare wrote them"),
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
