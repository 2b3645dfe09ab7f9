"""The KMS keys of the run folder: do they work, and may caller and service role use them?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bedrock_spark.doctor.asking import ask, statement
from bedrock_spark.doctor.bucket import UsedBucket, default_key
from bedrock_spark.doctor.findings import Finding, error, ok
from bedrock_spark.doctor.policy_terms import (
    names_action,
    principals_of,
    statements_of,
)
from bedrock_spark.doctor.world import World

_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")
# The key that AWS manages for S3. Its policy lets in every identity of the account that may use S3.
_OF_S3 = "alias/aws/s3"
_ENDING = ("PendingDeletion", "PendingReplicaDeletion")


def key_findings(world: World, bucket: UsedBucket, roles: Sequence[str]) -> Iterator[Finding]:
    """Yield the state of the keys that encrypt a run folder, and whom their policies let in.

    roles: the service roles
    """
    found = {world.config.batch.kms_key_id: "batch.kms_key_id"}
    default = default_key(world, bucket)
    found.setdefault(default, f"of bucket {bucket.name}")
    keys = {key: whose for key, whose in found.items() if key is not None}
    if not keys:
        yield ok(f"encryption of bucket {bucket.name}: by keys of S3, which need no permission")
    for key, whose in keys.items():
        if key.endswith(_OF_S3):
            yield ok(f"key {key} ({whose}): is managed by AWS, for every identity of the account")
        else:
            yield from _key(world, key, whose, bucket.region, roles)


def _key(
    world: World, key: str, whose: str, region: str, roles: Sequence[str]
) -> Iterator[Finding]:
    client, name = world.client("kms", region), f"key {key} ({whose})"
    found = ask(
        lambda: client.describe_key(KeyId=key),
        "kms:DescribeKey",
        key,
        absent=("NotFoundException",),
    )
    if found is None:
        yield error(f"{name}: does not exist in {region}", "batch: {kms_key_id: KEY-ID}")
        return
    about = found["KeyMetadata"]
    state, arn = about.get("KeyState", "Enabled"), str(about["Arn"])
    if state != "Enabled":
        yield error(f"{name}: is {state}", _repair(state, arn, region))
    elif about.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
        yield error(f"{name}: is {about['KeySpec']}, and S3 takes symmetric keys only")
    else:
        yield ok(f"{name}: is enabled")
    policy = ask(
        lambda: client.get_key_policy(KeyId=arn, PolicyName="default"), "kms:GetKeyPolicy", arn
    )
    identities = [*roles, *([world.identity.arn] if world.identity is not None else [])]
    yield from key_policy_findings(name, arn, policy["Policy"], identities)


def _repair(state: str, arn: str, region: str) -> str:
    named = f"--key-id {arn} --region {region}"
    enable = f"aws kms enable-key {named}"
    return f"aws kms cancel-key-deletion {named} && {enable}" if state in _ENDING else enable


def key_policy_findings(
    name: str, arn: str, policy: str, identities: Sequence[str]
) -> Iterator[Finding]:
    """Yield whether a key's policy lets identities in, by name or through the account's policies.

    identities: ARNs; a session of a role counts as its role
    """
    for identity in identities:
        principal = _role_of(identity)
        missing = [a for a in _ACTIONS if not _allows(policy, a, principal)]
        if missing:
            fix = statement(missing, ["*"]).replace(
                '"Effect"', f'"Principal": {{"AWS": "{principal}"}}, "Effect"', 1
            )
            yield error(f"{name}: its policy does not let {principal} {', '.join(missing)}", fix)
        else:
            yield ok(f"{name}: its policy lets {principal} in")


def _allows(policy: str, action: str, principal: str) -> bool:
    _, partition, _, _, account, _ = principal.split(":", 5)
    # "Enable IAM policies": then the account's own policies decide, which are simulated.
    account_itself = account, f"arn:{partition}:iam::{account}:root"
    return any(
        each.get("Effect") == "Allow"
        and names_action(each, action)
        and _names(each, principal, account_itself)
        for each in statements_of(policy)
    )


def _names(each: Mapping[str, Any], principal: str, account: tuple[str, str]) -> bool:
    named = principals_of(each, "AWS")
    return any(
        one in account or one == "*" or principal in (one, _role_without_path(one)) for one in named
    )


def _role_without_path(arn: str) -> str:
    """Return the ARN of a role as `_role_of` returns it; any other ARN is not changed."""
    head, is_role, path = arn.partition(":role/")
    return f"{head}{is_role}{path.rsplit('/', 1)[-1]}" if is_role else arn


def _role_of(arn: str) -> str:
    """Return the role of a session, without the path that only IAM knows."""
    _, partition, service, _, account, path = arn.split(":", 5)
    if service == "sts" and path.startswith("assumed-role/"):
        return f"arn:{partition}:iam::{account}:role/{path.split('/')[1]}"
    return arn
