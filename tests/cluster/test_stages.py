"""The demo's corpus through every stage, on executors that have no disk and no file of ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster.runs import FAULTS, ClusterRun, leaks
from tests.cluster.standalone import StandaloneCluster

pytestmark = pytest.mark.cluster

ROWS = 2400


def test_every_stage(cluster: StandaloneCluster, run: Callable[..., ClusterRun]) -> None:
    """s3a:// source and results, the environment by `--archives`: every row once, nothing twice.

    No prompt and no answer is in a log of the driver, of the executors, or in the event log.
    """
    one = run(ROWS, FAULTS)
    process = one.submit(is_shipped=True)
    one.finish(process)
    one.check_rows()
    one.check_bill()
    events = [path for path in cluster.events.rglob("*") if path.is_file()]
    logs = [process.log, *cluster.executor_logs(), *events]
    assert len(cluster.executor_logs()) >= 4  # two streams of two executors
    assert sum(path.stat().st_size for path in events) > 10_000
    assert leaks(logs) == []
