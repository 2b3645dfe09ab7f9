"""May role and caller do what the config needs? IAM simulates the policies of `bedrock-spark iam`.

A simulation knows the identity's own policies, its permissions boundary and the organization's
policies. It does not know the policy of a bucket or of a key.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedrock_spark.doctor.asking import ask, statement
from bedrock_spark.doctor.findings import Finding, error, ok, unknown, warning
from bedrock_spark.doctor.policy_terms import listed
from bedrock_spark.doctor.world import World

_ACTION = "iam:SimulatePrincipalPolicy"
_ALLOWED = "allowed"
_WHY = {"implicitDeny": "no policy allows it", "explicitDeny": "a policy denies it"}
# A run goes on without these: it then knows or tells less, or leaves parts of uploads behind.
_OPTIONAL = frozenset(
    {
        *("bedrock:CountTokens", "bedrock:GetFoundationModel", "bedrock:GetInferenceProfile"),
        *("bedrock:GetFoundationModelAvailability", "bedrock:ListInferenceProfiles"),
        *("bedrock:GetCustomModel", "servicequotas:ListServiceQuotas"),
        *("s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads"),
    }
)


@dataclass(frozen=True)
class Denied:
    """What an identity may not do. why: IAM's decision, and whose policy decided it."""

    action: str
    resource: str
    why: str


def principal_of(world: World, arn: str) -> str | None:
    """Return the ARN by which IAM simulates a caller; None for one without policies (the root).

    A session of a role has the policies of its role, whose path only IAM knows.
    """
    _, partition, service, _, account, path = arn.split(":", 5)
    if path == "root":
        return None
    if service != "sts" or not path.startswith("assumed-role/"):
        return arn
    name = path.split("/")[1]
    role = f"arn:{partition}:iam::{account}:role/{name}"
    client = world.client("iam")
    return str(ask(lambda: client.get_role(RoleName=name), "iam:GetRole", role)["Role"]["Arn"])


def simulation_findings(
    world: World,
    whose: str,
    arn: str | None,
    policy: Mapping[str, Any],
    foundation: Sequence[str],
    tried: Collection[str] = (),
) -> Iterator[Finding]:
    """Yield what an identity may not do of what a policy allows. Raises UnansweredError.

    whose: the identity, for messages; arn: of it; None for the root of the account
    foundation: ARNs of the foundation models with their Regions, in place of those with `*`
    tried: actions that are really done, so that their simulation says nothing more
    """
    if arn is None:
        yield ok(f"{whose}: is the root of the account, which no policy limits")
        return
    actions, denied, open_keys = 0, list[Denied](), set[str]()
    for each in policy["Statement"]:
        resources = _real(listed(each["Resource"]), foundation)
        named = [action for action in listed(each["Action"]) if action not in tried]
        if not resources or not named:
            continue
        actions += len(named)
        for result in _simulate(world, arn, named, resources):
            open_keys |= set(result.get("MissingContextValues", ()))
            denied += _denied(result)
    if not denied:
        yield ok(f"{whose} {arn}: may do all {actions} actions that the config needs (simulated)")
    if open_keys:
        yield unknown(f"{whose} {arn}: its policies depend on {', '.join(sorted(open_keys))}")
    yield from _findings(whose, arn, denied)


def _real(resources: Sequence[str], foundation: Sequence[str]) -> list[str]:
    """Return resources that exist: no kind of model of which the config names none."""
    real = []
    for resource in resources:
        if ":foundation-model/" in resource and resource.split(":")[3] == "*":
            name = resource.rsplit("/", 1)[-1]
            real += [f for f in foundation if name in ("*", f.rsplit("/", 1)[-1])]
        elif not resource.endswith(("profile/*", "custom-model/*", "provisioned-model/*")):
            # The project of calls that name none: Amazon Bedrock user guide, "Projects".
            real.append(resource.replace("project/*", "project/default"))
    return list(dict.fromkeys(real))


def _simulate(
    world: World, arn: str, actions: Sequence[str], resources: Sequence[str]
) -> Iterator[dict[str, Any]]:
    pages = world.client("iam").get_paginator("simulate_principal_policy")
    request = {
        "PolicySourceArn": arn,
        "ActionNames": actions,
        "ResourceArns": resources,
        "ContextEntries": [
            _context("aws:RequestedRegion", world.region),
            _context("iam:PassedToService", "bedrock.amazonaws.com"),
            _context("aws:SecureTransport", "true", "boolean"),
        ],
    }
    found = ask(lambda: list(pages.paginate(**request)), _ACTION, arn)
    yield from (result for page in found for result in page.get("EvaluationResults", ()))


def _context(key: str, value: str, kind: str = "string") -> dict[str, Any]:
    return {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": kind}


def _denied(result: Mapping[str, Any]) -> Iterator[Denied]:
    """Yield the denials of one result, which may have one of its own for each resource."""
    action = str(result["EvalActionName"])
    by_organization = result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations")
    own = [
        (r["EvalResourceName"], r["EvalResourceDecision"], r)
        for r in result.get("ResourceSpecificResults", ())
    ]
    for resource, decision, detail in own or [
        (result.get("EvalResourceName", "*"), result["EvalDecision"], result)
    ]:
        if decision == _ALLOWED:
            continue
        boundary = detail.get("PermissionsBoundaryDecisionDetail", {})
        why = _WHY.get(str(decision), str(decision))
        if by_organization is False:
            why = "a policy of the organization"
        elif boundary.get("AllowedByPermissionsBoundary") is False:
            why = "the permissions boundary"
        yield Denied(action, str(resource), why)


def _findings(whose: str, arn: str, denied: Sequence[Denied]) -> Iterator[Finding]:
    """Yield one line for all actions on the same resources that are denied for the same reason."""
    resources: dict[tuple[str, str, bool], list[str]] = defaultdict(list)
    for one in denied:
        resources[one.action, one.why, one.action in _OPTIONAL].append(one.resource)
    actions: dict[tuple[tuple[str, ...], str, bool], list[str]] = defaultdict(list)
    for (action, why, is_optional), named in resources.items():
        actions[tuple(dict.fromkeys(named)), why, is_optional].append(action)
    for (named_once, why, is_optional), own in actions.items():
        what = f"{whose} {arn}: may not {', '.join(own)} on {', '.join(named_once)} ({why})"
        fix = statement(own, named_once)
        yield warning(f"{what}; a run goes on without", fix) if is_optional else error(what, fix)
