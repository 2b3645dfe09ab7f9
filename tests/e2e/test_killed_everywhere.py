"""A controller is killed before and after every call: the bill is the same as without a kill."""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bedrock_emulator import LocalBedrock
from tests.e2e import kill_points
from tests.e2e.kill_points import BUCKET, ENDPOINT, RECORDS

pytestmark = pytest.mark.long

# Somebody else stops the first attempt at the first shard half way: its answers are kept, and a
# second attempt asks the other records.
# Listings lag 30 seconds behind, so they do not show a job that was just created.
FAULTS = {
    "quotas": {"active_jobs": 20, "min_records": 10},
    "list_lag_seconds": 30,
    "jobs": [{"name": "*-shard-00000-00-a1-*", "end": "Stopped"}],
}


@pytest.fixture(scope="module")
def local() -> Iterator[LocalBedrock]:
    with LocalBedrock(faults=FAULTS, speed=0, seed=11) as local:
        local.client("s3").create_bucket(Bucket=BUCKET)
        yield local


@pytest.fixture(scope="module")
def forks(local: LocalBedrock) -> Iterator[Any]:
    """Return a multiprocessing context whose processes start with all imports done."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local.environment().items():
            patch.setenv(name, value)
        patch.setenv(ENDPOINT, local.endpoint_url)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.e2e.kill_points"])
        yield context


def control(forks: Any, local: LocalBedrock, name: str, stop: bool, number: int, when: str) -> int:
    """Control a run in a process; return its exit code."""
    process = forks.Process(
        target=kill_points.control_run_and_die, args=(name, local.endpoint_url, stop, number, when)
    )
    process.start()
    process.join(120)
    assert process.exitcode is not None
    return int(process.exitcode)


def bill(local: LocalBedrock, name: str) -> Counter[str]:
    """Return the number of paid jobs of a run by shard and attempt."""
    names = [j["job_name"] for j in local.usage()["jobs"] if j["job_name"].startswith(f"{name}-")]
    return Counter(job_name.removeprefix(f"{name}-").rsplit("-", 1)[0] for job_name in names)


@pytest.mark.parametrize(
    ("stop", "files"), [(False, 1), (True, 3)], ids=["run", "stopped and run, several files"]
)
def test_killed_before_and_after_every_call(
    local: LocalBedrock, forks: Any, tmp_path: Path, stop: bool, files: int
) -> None:
    """Each shard has exactly one paid job per attempt, and no record is paid for twice."""
    kind = "stop" if stop else "run"
    write = partial(kill_points.write_run, files=files)
    write(kill_points.run_of(f"{kind}0", local.endpoint_url))
    assert control(forks, local, f"{kind}0", stop, 0, str(tmp_path / "points")) == 0
    before, points = (int(n) for n in (tmp_path / "points").read_text().split())
    expected_jobs = {"shard-00000-00-a1", "shard-00000-00-a2", "shard-00001-00-a1"}
    if not stop:
        assert set(bill(local, f"{kind}0")) == expected_jobs
    assert points - before > 15
    for number in range(before + 1, points + 1):
        for when in ("before", "after"):
            name = f"{kind}{when[0]}{number}"
            write(kill_points.run_of(name, local.endpoint_url))
            assert control(forks, local, name, stop, number, when) == -signal.SIGKILL
            assert control(forks, local, name, False, 10**9, "never") == 0, name
            paid = bill(local, name)
            assert set(paid.values()) == {1}, (name, paid)
            assert stop or set(paid) == expected_jobs
    usage = local.usage()
    assert usage["paid_again"]["records"] == 0
    runs = 2 * (points - before) + 1
    billed = sum(job["records_billed"] for job in usage["jobs"] if job["job_name"].startswith(kind))
    assert billed == runs * sum(RECORDS)
