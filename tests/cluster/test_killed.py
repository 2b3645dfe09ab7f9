"""Executors and workers that are killed in the middle of each stage: the run ends all the same.

The local Bedrock holds calls back, so that each kill is in the middle of the work.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster.processes import Process, command_line, wait_until
from tests.cluster.runs import FAULTS, LOST_WITH_A_TASK, ClusterRun
from tests.cluster.standalone import StandaloneCluster, Worker

pytestmark = pytest.mark.cluster

MANY_ERRORS = {**FAULTS, "records": [{"share": 0.4, "code": 500}]}
SHARDS = {"shards": {"max_records": 250}, "canary": {"records": 0}}
PREPARE = {"operation": "s3:PUT", "path": "/runs/stdlib/shards/"}
COLLECT = {"operation": "s3:PUT", "path": "/runs/stdlib/results/"}
FALLBACK = {"operation": "InvokeModel", "after": 150}
PUBLISH = {"operation": "s3:PUT", "path": "/lake/answers/.*parquet"}


def kill_executor(worker: Worker) -> None:
    """SIGKILL the JVM of an executor; its Python workers must end, too, and ask nothing more."""
    pythons = worker.python_workers()
    assert worker.kill_executors() > 0
    assert pythons
    wait_until(lambda: not any(command_line(pid) for pid in pythons), "the end of Python workers")


def kill_host(worker: Worker) -> None:
    """SIGKILL a worker and all that runs on its host."""
    assert worker.process is not None
    worker.process.stop()


def test_a_kill_in_every_stage(cluster: StandaloneCluster, run: Callable[..., ClusterRun]) -> None:
    """Batch jobs are billed as without kills; the fallback pays again for what one task lost.

    An executor is killed in prepare, in collect and in the fallback, and a whole host while the
    results are published.
    """
    one = run(1500, MANY_ERRORS, sections=SHARDS)
    first, second = cluster.workers
    one.hold(PREPARE)
    process = one.submit()
    strike(one, process, "s3:PUT", 2, lambda: kill_executor(first), then=COLLECT)
    strike(one, process, "s3:PUT", 2, lambda: kill_executor(second), then=FALLBACK)
    strike(one, process, "InvokeModel", 9, lambda: kill_asking_executor(one, first), then=PUBLISH)
    strike(one, process, "s3:PUT", 1, lambda: kill_host(second))
    one.finish(process)
    one.check_rows()
    # What was in flight is paid for again: the calls were held, and answered after the kill.
    one.check_bill(range(1, LOST_WITH_A_TASK + 1))


def kill_asking_executor(one: ClusterRun, worker: Worker) -> None:
    """Kill an executor in the fallback, and delete the claim of its task, as if its time was over.

    The other executor repeats the task. It would wait for a minute: test_speculation.py does.
    """
    held = [key for key, claim in one.claims_at_work().items() if worker.process_of(claim)]
    kill_executor(worker)
    assert len(held) == 1
    one.delete(held[0])


def strike(
    one: ClusterRun,
    process: Process,
    operation: str,
    calls: int,
    kill: Callable[[], None],
    then: dict[str, object] | None = None,
) -> None:
    """Kill when this number of calls is held; let them go, and hold those of the next stage."""
    one.wait_for_held(operation, calls, process)
    kill()
    one.hold(*([then] if then is not None else []))
