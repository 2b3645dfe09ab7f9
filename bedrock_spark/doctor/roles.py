"""The service role: does it exist, and does it trust Bedrock?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bedrock_spark.doctor.asking import ask
from bedrock_spark.doctor.findings import Finding, error
from bedrock_spark.doctor.trust import trust_findings
from bedrock_spark.doctor.world import World
from bedrock_spark.permissions import policies_of

_ABSENT = ("NoSuchEntity", "NoSuchEntityException")


def roles_of(world: World) -> dict[str, list[str]]:
    """Return the service roles of the config, each with the Regions of its jobs."""
    batch = world.config.batch
    regions: dict[str, list[str]] = {}
    places = [(t.role_arn, t.region) for t in world.config.targets] or [(None, None)]
    for role_arn, region in places:
        regions.setdefault(role_arn or batch.role_arn, []).append(region or world.region)
    return {role: list(dict.fromkeys(own)) for role, own in regions.items()}


def role_findings(world: World, role_arn: str, regions: list[str]) -> Iterator[Finding]:
    """Yield whether a role exists and trusts Bedrock in the Regions of its jobs."""
    trust = trust_of(world, role_arn)
    if trust is None:
        yield error(
            f"role {role_arn}: does not exist",
            "bedrock-spark iam CONFIG --format cloudformation > role.json && aws cloudformation "
            "deploy --stack-name bedrock-spark --template-file role.json --capabilities "
            "CAPABILITY_NAMED_IAM",
        )
        return
    wanted = policies_of(world.config, world.region).trust
    yield from trust_findings(role_arn, trust, wanted, regions)


def trust_of(world: World, role_arn: str) -> Any:
    """Return a role's trust policy; None if there is no such role. Raises UnansweredError."""
    name = role_arn.rsplit("/", 1)[-1]
    client = world.client("iam")
    found = ask(lambda: client.get_role(RoleName=name), "iam:GetRole", role_arn, absent=_ABSENT)
    return None if found is None else found["Role"]["AssumeRolePolicyDocument"]
