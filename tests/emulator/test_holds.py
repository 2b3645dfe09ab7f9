"""The fault script can hold calls back until another script is set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import ValidationError

from bedrock_emulator import LocalBedrock
from bedrock_emulator.faults import Hold, read_faults
from bedrock_emulator.state.holds import Holds

from .kit import CLAUDE, Kit, ask

PATH = "/bucket/runs/a b"


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def wait_for(kit: Kit, held: dict[str, int]) -> None:
    """Wait until `count` calls are held. A test that fails is ended by the client's timeout."""
    while kit.local.held() != held:
        pass


def invoke(kit: Kit, text: str) -> Any:
    return kit.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(ask(text)))


def test_calls_wait_until_a_script_without_the_rule_is_set(
    kit: Kit, pool: ThreadPoolExecutor
) -> None:
    """Before that nothing is done and nothing is billed; other calls are answered."""
    before = kit.local.usage()["totals"]["invocations"]
    kit.local.set_faults({"holds": [{"operation": "InvokeModel", "body": "one of two"}]})
    calls: list[Future[Any]] = [pool.submit(invoke, kit, f"one of two, {n}") for n in range(2)]
    wait_for(kit, {"InvokeModel": 2})
    invoke(kit, "another")
    assert kit.local.usage()["totals"]["invocations"] == before + 1
    assert not any(call.done() for call in calls)
    # Another script with the same rule lets nobody go.
    kit.local.set_faults(
        {"holds": [{"operation": "InvokeModel", "body": "one of two"}], "list_lag_seconds": 1}
    )
    assert kit.local.held() == {"InvokeModel": 2}
    kit.local.set_faults({})
    assert [call.result()["ResponseMetadata"]["HTTPStatusCode"] for call in calls] == [200, 200]
    assert kit.local.held() == {}
    assert kit.local.usage()["totals"]["invocations"] == before + 3


def test_objects_of_a_path_are_held_after_the_first_ones(
    kit: Kit, pool: ThreadPoolExecutor
) -> None:
    """`path` is searched in `/bucket/key`, decoded; `after` counts the calls that fit."""
    rule = {"operation": "s3:PUT", "path": f"^/{kit.bucket}/runs/a b/", "after": 1}
    kit.local.set_faults({"holds": [rule]})

    def put(key: str) -> None:
        kit.s3.put_object(Bucket=kit.bucket, Key=key, Body=b"x")

    put("elsewhere")
    put("runs/a b/1")
    second = pool.submit(put, "runs/a b/2")
    wait_for(kit, {"s3:PUT": 1})
    listed = kit.s3.list_objects_v2(Bucket=kit.bucket)["Contents"]
    assert [o["Key"] for o in listed] == ["elsewhere", "runs/a b/1"]
    kit.local.set_faults({})
    second.result()


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"operation": "InvokeModel"}, True),
        ({"operation": "Invoke*"}, True),
        ({"operation": "Converse"}, False),
        ({"operation": "*", "path": "runs/a b$"}, True),
        ({"operation": "*", "path": "^runs"}, False),
        ({"operation": "*", "body": "[7-9]"}, True),
        ({"operation": "*", "body": "[1-6]"}, False),
    ],
)
def test_what_a_rule_fits(rule: dict[str, Any], fits: bool) -> None:
    """All conditions must hold."""
    assert Hold.model_validate(rule).fits("InvokeModel", PATH, b"ticket 7") is fits


def test_bodies_of_s3_are_not_searched() -> None:
    """They are not read, so a rule that asks for one would hold nothing."""
    with pytest.raises(ValidationError, match="use path"):
        read_faults({"holds": [{"operation": "s3:PUT", "body": "x"}]})


def test_the_first_rule_that_fits_counts() -> None:
    """A call is counted for one rule only."""
    first = Hold(operation="*", after=2)
    holds = Holds([first, Hold(operation="*")])
    for _ in range(2):
        holds.wait("InvokeModel", PATH, b"")
    assert holds.counts() == {}


@pytest.mark.long
def test_an_emulator_that_ends_lets_its_calls_go() -> None:
    """Otherwise it could not end."""
    local = LocalBedrock({"holds": [{"operation": "ListModelInvocationJobs"}]}, speed=0)
    local.start()
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(local.client("bedrock").list_model_invocation_jobs)
        while not local.held():
            pass
        process = local._process
        local.stop()
        call.exception()
    assert process is not None
    assert process.returncode == 0
