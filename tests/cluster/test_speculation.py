"""Spark's speculation: a copy of a slow task runs on another host. Spark never does it on one host.

The local Bedrock holds the calls of one task back, as a slow host would.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.processes import Process, kill, state_of, wait_until
from tests.cluster.runs import CONCURRENCY, LOST_WITH_A_TASK, ClusterRun
from tests.cluster.standalone import StandaloneCluster

pytestmark = pytest.mark.cluster

ERRORS: dict[str, Any] = {"records": [{"share": 0.4, "code": 500}]}
SECTIONS = {"shards": {"max_records": 250}, "canary": {"records": 0}}
SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.quantile": "0.3",
    "spark.speculation.multiplier": "1.1",
    "spark.speculation.minTaskRuntime": "100ms",
}
COPY = r"Starting task (\d+)\.1 in stage (\d+)\.\d+ .*\((127\.0\.0\.[12])"


def test_a_slow_host_in_each_stage(run: Callable[..., ClusterRun]) -> None:
    """Both copies write the same shards and results. In the fallback the second one waits."""
    one = run(1500, ERRORS, settings=SPECULATION, sections=SECTIONS)
    one.hold({"operation": "s3:PUT", "path": "/shards/[^/]+/shard-00001-"})
    process = one.submit()
    wait_for_copy(process, 1)
    one.wait_for_held("s3:PUT", 2, process)  # the task and its copy
    one.hold({"operation": "s3:PUT", "path": "/results/shard-00001-"})
    wait_for_copy(process, 2)
    one.wait_for_held("s3:PUT", 2, process)
    slow = {"operation": "InvokeModel", "body": prompts_of(one, "shard-00001-"), "after": 5}
    one.hold(slow)
    one.wait_for_held("InvokeModel", CONCURRENCY, process)
    held_by = claim_of_slow_task(one, process, slow)
    one.hold(slow)  # the copy looks at the claim, and has to wait
    assert json.loads(one.read(held_by))["state"] == "working"
    one.hold()
    one.finish(process)
    one.check_rows()
    one.check_bill()


@pytest.mark.long
def test_a_host_that_stood_still(
    cluster: StandaloneCluster, run: Callable[..., ClusterRun]
) -> None:
    """A Python worker is stopped for longer than its claim lasts, and continued afterwards.

    The copy takes over. The first one notices that it has lost the claim: it asks nothing more.
    """
    one = run(1500, ERRORS, settings=SPECULATION, sections=SECTIONS)
    one.hold({"operation": "CreateModelInvocationJob"})
    process = one.submit()
    one.wait_for_held("CreateModelInvocationJob", 1, process)
    slow = {"operation": "InvokeModel", "body": prompts_of(one, "shard-00001-"), "after": 5}
    one.hold(slow)
    one.wait_for_held("InvokeModel", CONCURRENCY, process)
    claim = claim_of_slow_task(one, process, slow)
    one.hold(slow)  # the copy looks at the claim, and has to wait
    before = json.loads(one.read(claim))
    (stopped,) = [pid for worker in cluster.workers if (pid := worker.process_of(before))]
    kill(stopped, signal.SIGSTOP)
    one.hold()
    wait_until(
        lambda: json.loads(one.read(claim))["attempt"] != before["attempt"], "the copy takes over"
    )
    assert state_of(stopped) == "T"
    kill(stopped, signal.SIGCONT)
    one.finish(process)
    one.check_rows()
    one.check_bill(range(LOST_WITH_A_TASK + 1))


def wait_for_copy(process: Process, stages: int) -> None:
    """Wait until Spark has started copies of tasks in this number of stages."""

    def seen() -> bool:
        assert not process.is_over, process.text[-6000:]
        return len({found[1] for found in re.findall(COPY, process.text)}) >= stages

    wait_until(seen, f"copies in {stages} stages: {re.findall(COPY, process.text)}")


def prompts_of(one: ClusterRun, shard: str) -> str:
    """Return a regular expression that fits the requests of a shard's first records.

    They are few enough for one task of the fallback.
    """
    (key, *_) = [n for n in one.names(f"{one.prefix}/shards/") if shard in n]
    lines = one.read(key.removeprefix(f"{one.prefix}/")).decode().splitlines()[:100]
    names = [re.search(r"What is (\S+) for\?", line) for line in lines]
    return rf"What is ({'|'.join(re.escape(found[1]) for found in names if found)}) for\?"


def claim_of_slow_task(one: ClusterRun, process: Process, slow: dict[str, Any]) -> str:
    """Wait until the copy of the task whose calls are held reads its claim; return the claim's key.

    The read is held.
    """

    def only_one_at_work() -> str | None:
        assert not process.is_over, process.text[-6000:]
        at_work = one.claims_at_work()
        return next(iter(at_work)) if len(at_work) == 1 < len(one.claims()) else None

    key = wait_until(only_one_at_work, "the end of all tasks but one")
    assert key is not None
    one.hold(slow, {"operation": "s3:GET", "path": re.escape(key)})
    one.wait_for_held("s3:GET", 1, process)
    return key
