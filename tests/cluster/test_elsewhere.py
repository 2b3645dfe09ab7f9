"""A driver that is killed while batch jobs run, and started again on another machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.hosts import isolation
from tests.cluster.processes import descendants, wait_until
from tests.cluster.runs import ClusterRun
from tests.cluster.standalone import StandaloneCluster

pytestmark = [pytest.mark.cluster, pytest.mark.long]

ERRORS = {"records": [{"share": 0.2, "code": 500}]}
SECTIONS = {"shards": {"max_records": 300}, "canary": {"records": 0}}


def test_the_driver_is_lost(cluster: StandaloneCluster, run: Callable[..., ClusterRun]) -> None:
    """The other machine has its own disk, name and process ids. It takes the run over when the
    lease is over, creates no job a second time, and pays for nothing twice.
    """
    if isolation() is None:
        pytest.skip("namespaces are not allowed here: there is no other machine")
    one = run(1500, ERRORS, speed=0.0, sections=SECTIONS)
    process = one.submit()
    wait_until(lambda: len(jobs_created(one)) >= 4, "4 jobs")
    # As long as it is open, no other namespace gets its number: the kernel reuses them.
    with Path(f"/proc/{descendants(process.popen.pid)[0]}/ns/pid").open():
        process.kill()
        one.local.advance_clock(24 * 3600)  # the jobs end while nobody watches
        lease = json.loads(one.read("lease.json"))
        assert lease["host"] == "driver"
        again = one.submit(host=cluster.driver_host("elsewhere"))
        again.wait_for("controlled by driver, .* its lease ends in")
        one.write("lease.json", json.dumps({**lease, "until": 1.0}).encode())  # time passes
        one.finish(again)
    one.check_rows()
    one.check_bill()
    names = jobs_created(one)
    assert len(names) == len(set(names))


def jobs_created(one: ClusterRun) -> list[str]:
    """Return the names of the jobs that were created."""
    calls = one.local.calls("CreateModelInvocationJob")
    return [call["body"]["jobName"] for call in calls if not call["error"]]
