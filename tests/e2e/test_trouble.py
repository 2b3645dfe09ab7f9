"""Throttling, lost replies, a lagging listing and a shrinking quota do not change the bill."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from bedrock_emulator import LocalBedrock
from bedrock_spark.fanout import leased_controller, watch
from tests.e2e.kill_points import EmulatedClock, run_of, write_run

SIZES = (12,) * 12


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


def faults(**sections: Any) -> dict[str, Any]:
    return {"quotas": {"active_jobs": 6, "min_records": 10}, **sections}


THROTTLED = {"throttle_rate": 0.5, "error_rate": 0.05, "error": "InternalServerException"}
SCRIPTS = {
    "half of the calls are throttled": faults(
        operations={
            "CreateModelInvocationJob": THROTTLED,
            "ListModelInvocationJobs": THROTTLED,
        }
    ),
    "replies are lost and the listing lags": faults(
        operations={"CreateModelInvocationJob": {"drop_after_rate": 0.4, "drop_before_rate": 0.2}},
        list_lag_seconds=45,
    ),
    "the quota shrinks": faults(quota_changes=[{"after_seconds": 600, "active_jobs": 2}]),
}


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_no_fault_changes_the_bill(
    script: dict[str, Any], bedrock: Callable[..., LocalBedrock]
) -> None:
    """Every shard has one paid job, and every record is paid for once."""
    local = bedrock(script, speed=0, seed=5)
    run = run_of("trouble", local.endpoint_url)
    manifest = write_run(run, SIZES)
    with leased_controller(
        run, manifest, EmulatedClock(local.endpoint_url, step=None)
    ) as controller:
        assert watch(controller).is_done
    usage, refused = local.usage(), local.errors()
    paid = Counter(job["input_uri"] for job in usage["jobs"])
    assert set(paid.values()) == {1}
    assert len(paid) == len(SIZES)
    assert usage["totals"]["records_billed"] == sum(SIZES)
    assert usage["paid_again"]["records"] == 0
    quota = "CreateModelInvocationJob ServiceQuotaExceededException"
    assert refused.get(quota, 0) <= 12
