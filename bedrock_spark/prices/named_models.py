"""Which models a config names: of batch jobs, of the canary and of the fallback, and where."""

from __future__ import annotations

from bedrock_spark.config import Config
from bedrock_spark.limits import PROVISIONED_MODEL_ARN
from bedrock_spark.prices.call_prices import RESERVED, NamedFallback
from bedrock_spark.prices.place_prices import NamedPlace, PlaceKey


def named_fallback(config: Config) -> NamedFallback | None:
    """Return the fallback model of a config with its own prices, None if it has no fallback."""
    fallback, own = config.fallback, config.prices
    if fallback is None:
        return None
    return NamedFallback(model_id=fallback.model_id, fallback=own.fallback, flex=own.flex)


def named_places(config: Config) -> list[NamedPlace]:
    """Return the targets and the canary model of a config, each once, with the user's own price."""
    keys = dict.fromkeys([*batch_models(config), *canary_models(config)])
    own = config.prices.batch
    return [NamedPlace(model_id=m, region=region, batch=own) for m, region in keys]


def tier_of(config: Config) -> str:
    """Return the tier of the fallback's calls, as the price table names it.

    With `auto` it is the default tier, which costs more: every call may end there.
    """
    tier = config.fallback.service_tier if config.fallback is not None else None
    return tier if tier not in (None, "auto", "default") else "standard"


def may_use_flex(config: Config) -> bool:
    """Tell whether the config leaves the tier of the fallback's calls to the prices.

    Optimized latency and the flex tier contradict each other.
    """
    fallback = config.fallback
    if fallback is None or fallback.service_tier != "auto":
        return False
    return fallback.performance != "optimized"


def batch_models(config: Config) -> list[PlaceKey]:
    """Return model id and Region of every target of batch jobs."""
    region = config.batch.region
    targets = [(target.model_id, target.region or region) for target in config.targets]
    return targets or [(config.model.id, region)]


def batch_model_ids(config: Config) -> list[str]:
    """Return the model id of every target of batch jobs."""
    return [model_id for model_id, _ in batch_models(config)]


def fallback_models(config: Config) -> list[PlaceKey]:
    """Return model id and Region of the fallback if it is paid by tokens, in a list of its own."""
    # The reserved tier is paid by a commitment: https://aws.amazon.com/bedrock/service-tiers/
    fallback = config.fallback
    is_by_hour = fallback is None or fallback.create is not None
    if fallback is None or is_by_hour or fallback.service_tier == RESERVED:
        return []
    is_provisioned = PROVISIONED_MODEL_ARN.fullmatch(fallback.model_id) is not None
    return [] if is_provisioned else [(fallback.model_id, config.batch.region)]


def canary_models(config: Config) -> list[PlaceKey]:
    """Return model id and Region of the canary, in a list of its own."""
    return [(config.canary.model_id or config.model.id, config.batch.region)]
