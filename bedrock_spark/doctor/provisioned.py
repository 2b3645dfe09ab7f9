"""Provisioned throughput that the config names: is it there, and does it serve?"""

from __future__ import annotations

from collections.abc import Iterator

from bedrock_spark.aws.provisioned import FAILED, READY
from bedrock_spark.doctor.asking import ask
from bedrock_spark.doctor.findings import Finding, error, ok, warning
from bedrock_spark.doctor.world import World

_ABSENT = ("ResourceNotFoundException", "ValidationException")


def provisioned_findings(world: World, key: str, arn: str) -> Iterator[Finding]:
    """Yield the state of a provisioned throughput.

    key: where the config names it
    """
    client, name = world.client("bedrock", arn.split(":")[3]), f"{key} = {arn!r}"
    found = ask(
        lambda: client.get_provisioned_model_throughput(provisionedModelId=arn),
        *("bedrock:GetProvisionedModelThroughput", arn),
        absent=_ABSENT,
    )
    look = "aws bedrock list-provisioned-model-throughputs"
    if found is None:
        yield error(f"{name}: does not exist", look)
        return
    status = str(found["status"])
    if status in READY:
        yield ok(f"{name}: is {status}, {found.get('modelUnits', '?')} model units")
    elif status == FAILED:
        yield error(f"{name}: is Failed: {found.get('failureMessage', 'no reason given')}", look)
    else:
        yield warning(f"{name}: is {status}; the fallback waits for it half an hour", look)
