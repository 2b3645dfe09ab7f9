"""What a bucket's policy denies. Bedrock reads and writes the run folder from its own network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bedrock_spark.doctor.findings import Finding, error, ok, warning
from bedrock_spark.doctor.policy_terms import (
    conditions_of,
    listed,
    matches,
    names_action,
    statements_of,
)

_ACTIONS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
# Conditions on where a request comes from. Jobs come from Bedrock's network, unless batch.vpc.
_PLACES = ("aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip")
# Denies plain HTTP, which nobody here uses.
_HTTPS_ONLY = ("aws:securetransport", "s3:tlsversion")


def policy_findings(
    bucket: str, policy: str | None, objects: str, *, has_vpc: bool
) -> Iterator[Finding]:
    """Yield the statements that deny what a run does in a folder.

    policy: JSON, None if the bucket has none; objects: ARN of the objects of the folder
    has_vpc: whether the jobs run in a VPC of the account
    """
    found = [
        finding
        for statement in statements_of(policy or {})
        if statement.get("Effect") == "Deny"
        for finding in _denials(bucket, statement, objects, has_vpc=has_vpc)
    ]
    yield from found
    if not found:
        text = (
            "has no policy"
            if policy is None
            else "has a policy that denies nothing that a run does"
        )
        yield ok(f"bucket {bucket}: {text}")


def _denials(
    bucket: str, statement: Mapping[str, Any], objects: str, *, has_vpc: bool
) -> Iterator[Finding]:
    actions = [action for action in _ACTIONS if names_action(statement, action)]
    if not actions or not _is_about(statement, objects):
        return
    name = f"bucket {bucket}: the statement {statement.get('Sid', '(no Sid)')!r} of its policy"
    fix = f"aws s3api get-bucket-policy --bucket {bucket}    # and correct: {json.dumps(statement)}"
    conditions = list(conditions_of(statement))
    keys = [key for _, key, _ in conditions]
    if any(key in _HTTPS_ONLY for key in keys):
        return
    denies = f"denies {', '.join(actions)}"
    if not conditions and statement.get("Principal") in ("*", {"AWS": "*"}):
        yield error(f"{name} {denies} to everybody", fix)
    elif not has_vpc and any(key in _PLACES for key in keys):
        yield warning(
            f"{name} {denies} by where a request comes from ({', '.join(keys)}): Bedrock's jobs "
            "come from Bedrock's network, unless batch.vpc is set",
            fix,
        )
    else:
        under = f" under conditions on {', '.join(keys)}" if keys else ""
        yield warning(f"{name} {denies}{under} to some; does that concern this run?", fix)


def _is_about(statement: Mapping[str, Any], objects: str) -> bool:
    if "NotResource" in statement:
        return not any(matches(p, objects) for p in listed(statement["NotResource"]))
    return any(
        matches(p, objects) or matches(objects, p) for p in listed(statement.get("Resource"))
    )
