"""Two Regions: jobs run in the Region with free slots; the run folder gets every output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from bedrock_emulator import LocalBedrock
from bedrock_spark.config import parse_config
from bedrock_spark.costs.run_cost import cost_so_far
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.fanout import leased_controller, watch
from bedrock_spark.fanout.event_queue import EventWaiter
from bedrock_spark.prices import find_prices, price_table
from bedrock_spark.run_folder import layout
from tests.e2e.kill_points import CLAUDE, EmulatedClock, run_of, write_run
from tests.models import CLAUDE_MODEL

Start = Callable[..., LocalBedrock]
WEST = "killed-everywhere-west"
# The same model through another profile, whose batch jobs cost less.
GLOBAL = f"global.{CLAUDE_MODEL}"
SIZES = (12,) * 6
FAULTS = {
    "quotas": {"active_jobs": 2, "min_records": 10},
    "jobs": [{"name": "*-a1-*", "nth": [2], "end": "Stopped"}],
}


def with_targets(config: Any) -> Any:
    values = config.model_dump(mode="json")
    values["batch"]["max_active_jobs"] = 2
    values["targets"] = [
        {"model_id": CLAUDE},
        {"model_id": GLOBAL, "region": "us-west-2", "uri": f"s3://{WEST}/jobs"},
    ]
    return parse_config(values)


def test_outputs_of_two_regions_reach_the_run_folder(bedrock: Start) -> None:
    """Each job reads and writes in its own Region. In the end the run folder has every output.

    Each job costs what its own model costs, also after its target has left the config.
    """
    local = bedrock(FAULTS, speed=0, seed=5)
    local.client("s3", region_name="us-west-2").create_bucket(
        Bucket=WEST, CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )
    run = run_of("targets", local.endpoint_url)
    run = replace(run, config=with_targets(run.config))
    manifest = write_run(run, SIZES)
    with leased_controller(run, manifest, EmulatedClock(local.endpoint_url)) as controller:
        assert watch(controller).is_done
    usage = local.usage()
    outputs = [o.key for o in run.storage.list(f"{layout.OUTPUT}/")]
    regions = Counter(job["job_arn"].split(":")[3] for job in usage["jobs"])
    assert regions.keys() == {"us-east-1", "us-west-2"}
    assert usage["paid_again"]["records"] == 0
    answered = {key.split("/")[1] for key in outputs if key.endswith(".jsonl.out")}
    assert len(answered) == len(SIZES)
    for job in usage["jobs"]:
        folder = job["job_arn"].rsplit("/", 1)[-1]
        assert any(f"/{folder}/{layout.OUTPUT_MANIFEST_FILE}" in key for key in outputs)
    billed = sum(price_of(job) for job in usage["jobs"])
    assert billed > 0
    without_targets = replace(run, config=run.config.model_copy(update={"targets": ()}))
    for each in (run, without_targets):
        found = cost_so_far(each, manifest, controller.jobs, (), ())
        assert (found.dollars.batch, found.unpriced) == (billed, ())


def price_of(job: dict[str, Any]) -> Decimal:
    """Return what a job of the local Bedrock costs by the list: each Region has its own model."""
    region = job["job_arn"].split(":")[3]
    model_id = CLAUDE if region == "us-east-1" else GLOBAL
    price = find_prices(model_id, region, price_table()).tiers["batch"]
    return Tokens(job["input_tokens"], job["output_tokens"]).cost(price)


def test_an_event_ends_the_wait(bedrock: Start) -> None:
    """EventBridge puts an event into the queue when a job of the run has settled."""
    local = bedrock(FAULTS, speed=0, seed=5, event_queue="jobs")
    run = run_of("events", local.endpoint_url)
    clock = EmulatedClock(local.endpoint_url)
    with leased_controller(run, write_run(run, (12,)), clock) as controller:
        controller.advance()
        local.advance_clock(7200)
        queue = local.client("sqs")
        url = queue.get_queue_url(QueueName="jobs")["QueueUrl"]
        began = clock.now()
        assert EventWaiter(queue, url, "events", clock)(300.0) is True
        assert clock.now() == began
        assert controller.advance().is_done
