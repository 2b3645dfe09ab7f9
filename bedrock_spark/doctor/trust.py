"""Does a role let Bedrock assume it for the batch jobs of this account, and for nobody else's?

https://docs.aws.amazon.com/bedrock/latest/userguide/batch-iam-sr.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bedrock_spark.doctor.findings import Finding, error, ok, unknown, warning
from bedrock_spark.doctor.policy_terms import (
    conditions_of,
    holds,
    matches,
    names_action,
    principals_of,
    statements_of,
)

_SERVICE, _ASSUME = "bedrock.amazonaws.com", "sts:AssumeRole"
# The id of any job: 12 letters and digits.
_ANY_JOB = "model-invocation-job/abcdefghijkl"
_KEYS = ("aws:sourceaccount", "aws:sourcearn")


def trust_findings(
    role_arn: str,
    trust: str | Mapping[str, Any],
    wanted: Mapping[str, Any],
    regions: Sequence[str],
) -> Iterator[Finding]:
    """Yield whether a role may be assumed for jobs in each Region.

    trust: the role's trust policy; wanted: the one that `bedrock-spark iam` prints
    """
    _, partition, _, _, account, path = role_arn.split(":", 5)
    name = path.rsplit("/", 1)[-1]
    fix = (
        f"aws iam update-assume-role-policy --role-name {name} "
        f"--policy-document '{json.dumps(wanted)}'"
    )
    own = [s for s in statements_of(trust) if _is_about_bedrock(s)]
    allows = [s for s in own if s.get("Effect") == "Allow"]
    if not allows:
        yield error(f"role {role_arn}: does not trust {_SERVICE}, so no job starts", fix)
        return
    for region in regions:
        job = f"arn:{partition}:bedrock:{region}:{account}:{_ANY_JOB}"
        facts = {"aws:sourceaccount": account, "aws:sourcearn": job}
        denied = [_applies(s, facts) for s in own if s.get("Effect") == "Deny"]
        allowed = [_applies(s, facts) for s in allows]
        if True in denied:
            yield error(f"role {role_arn}: its trust policy denies jobs in {region}", fix)
        elif True in allowed:
            yield ok(f"role {role_arn}: trusts Bedrock for jobs of {account} in {region}")
        elif None in allowed:
            yield unknown(
                f"role {role_arn}: its trust policy has conditions other than aws:SourceAccount "
                f"and aws:SourceArn; whether they hold for jobs in {region} is not known"
            )
        else:
            yield error(
                f"role {role_arn}: the conditions of its trust policy (aws:SourceAccount, "
                f"aws:SourceArn) exclude jobs of {account} in {region}",
                fix,
            )
    if any(not any(key in _KEYS for _, key, _ in conditions_of(s)) for s in allows):
        yield warning(
            f"role {role_arn}: has no condition aws:SourceAccount or aws:SourceArn, so Bedrock may "
            "use it for other accounts",
            fix,
        )


def _is_about_bedrock(statement: Mapping[str, Any]) -> bool:
    services = principals_of(statement, "Service")
    return names_action(statement, _ASSUME) and any(matches(s, _SERVICE) for s in services)


def _applies(statement: Mapping[str, Any], facts: Mapping[str, str]) -> bool | None:
    """Tell whether all conditions of a statement hold; None if that is not known."""
    held = [
        holds(operator, values, facts[key]) if key in facts else None
        for operator, key, values in conditions_of(statement)
    ]
    if False in held:
        return False
    return None if None in held else True
