"""Whether a model may be used: its life cycle, what the account has, and the service's refusals.

By default every model is ACTIVE and the account may use it, on any date: tests must not
depend on it. The fault script's `models` says otherwise. The refusals are in AWS's words, as users
report them.
"""

from __future__ import annotations

from typing import Any

from bedrock_emulator.errors import ServiceError, invalid, not_found
from bedrock_emulator.models.profile_only import needs_profile
from bedrock_emulator.state.clock import as_datetime
from bedrock_emulator.state.world import EmulatorState

_DAY_SECONDS = 86_400.0


def lifecycle_of(world: EmulatorState, model_id: str) -> dict[str, Any]:
    """Return the member `modelLifecycle` of a foundation model."""
    rule = world.faults.current.model(model_id)
    legacy_at = _moment(world, rule.legacy_in_days)
    is_legacy = legacy_at is not None and legacy_at <= world.clock.now()
    times = {
        "legacyTime": legacy_at,
        "publicExtendedAccessTime": _moment(world, rule.extended_access_in_days),
        "endOfLifeTime": _moment(world, rule.ends_in_days),
    }
    known = {name: as_datetime(moment) for name, moment in times.items() if moment is not None}
    return {"status": "LEGACY" if is_legacy else "ACTIVE", **known}


def availability_of(world: EmulatorState, model_id: str) -> dict[str, Any]:
    """Return the reply of GetFoundationModelAvailability."""
    rule = world.faults.current.model(model_id)
    return {
        "modelId": model_id,
        "agreementAvailability": {"status": rule.agreement},
        "authorizationStatus": rule.authorization,
        "entitlementAvailability": rule.entitlement,
        "regionAvailability": rule.region,
    }


def takes_profile_only(world: EmulatorState, model_id: str) -> bool:
    """Tell whether calls to a model must name an inference profile."""
    if world.faults.current.model(model_id).refusal == "on_demand":
        return True
    return world.faults.current.behaviour.profile_only == "refuse" and needs_profile(model_id)


def check_usable(
    world: EmulatorState,
    named: str,
    base_model_id: str,
    *,
    is_batch: bool = False,
    is_count: bool = False,
) -> None:
    """Raise the service's refusal of a call to a model, if the fault script has one.

    named: the id or ARN in the request; is_batch: the call creates a batch job; is_count: it counts
        tokens. Both take the bare id of a model that is served through profiles only.
    """
    rule = world.faults.current.model(base_model_id)
    ends_at = _moment(world, rule.ends_in_days)
    if ends_at is not None and ends_at <= world.clock.now():
        # github.com/aws-samples/amazon-bedrock-ai-karaoke/issues/21
        raise not_found(
            "This model version has reached the end of its life. Please refer to the AWS "
            "documentation for more details."
        )
    lacks_access = rule.authorization == "NOT_AUTHORIZED" or rule.entitlement == "NOT_AVAILABLE"
    if lacks_access or rule.agreement != "AVAILABLE" or rule.refusal == "no_access":
        raise ServiceError(
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
        )
    is_plain = "inference-profile/" not in named and base_model_id == named.rsplit("/", 1)[-1]
    if rule.region == "NOT_AVAILABLE" and is_plain:
        raise invalid("The provided model identifier is invalid.")
    takes_bare = (is_batch or is_count) and rule.refusal != "on_demand"
    if is_plain and not takes_bare and takes_profile_only(world, base_model_id):
        raise invalid(
            f"Invocation of model ID {named} with on-demand throughput isn\u2019t supported. Retry "
            "your request with the ID or ARN of an inference profile that contains this model."
        )
    if rule.refusal == "legacy":  # github.com/fourTheorem/podwhisperer/pull/24
        raise not_found(
            "Access denied. This Model is marked by provider as Legacy and you have not been "
            "actively using the model in the last 30 days. Please upgrade to an active model on "
            "Amazon Bedrock"
        )
    if is_batch and rule.refusal == "support_case":
        raise invalid(
            "Your account is not authorized to perform this action. Please create a support case "
            "with AWS Customer Support."
        )
    if is_batch and rule.refusal == "no_batch":
        raise invalid("Batch inference is not supported for the requested model.")


def _moment(world: EmulatorState, days: float | None) -> float | None:
    return None if days is None else world.faults.since + days * _DAY_SECONDS
