"""The models of a config: do they exist, how long, may the account use them, and where?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedrock_spark.aws.model_state import described_state, foundation_model_of, lacks_of
from bedrock_spark.aws.profiles import profiles_of
from bedrock_spark.aws.provisioned import is_provisioned
from bedrock_spark.doctor.asking import UnansweredError, ask
from bedrock_spark.doctor.findings import Finding, error, ok, unknown, warning
from bedrock_spark.doctor.world import World
from bedrock_spark.families import bare_model_id
from bedrock_spark.families.model_ids import nearest_model_id
from bedrock_spark.model_check import UsedModel

_ABSENT = ("ResourceNotFoundException", "ValidationException")
# Keys of single calls, which some models take only through an inference profile.
_SINGLE = ("canary.model_id", "fallback.model_id")


@dataclass(frozen=True)
class NamedModel:
    """A model, where the config names it, and its Region.

    is_called: whether the canary or the fallback calls it; is_bought: of which units are bought
    """

    key: str
    model_id: str
    region: str
    is_called: bool = False
    is_bought: bool = False

    @property
    def name(self) -> str:
        """Return the model for messages."""
        return f"{self.key} = {self.model_id!r}"


def model_findings(world: World, model: NamedModel, now: float) -> Iterator[Finding]:
    """Yield whether a model exists, how long it is offered, and whether the account may use it.

    now: in seconds since the epoch
    """
    client = world.client("bedrock", model.region)
    if is_profile(model.model_id) and profile_regions(world, model) is None:
        yield error(
            f"{model.name}: {model.region} has no such inference profile",
            _another(model, profiles_of(client, model.model_id)),
        )
        return
    foundation = foundation_of(world, model)
    if foundation is None and is_provisioned(model.model_id):
        return  # the probe of the provisioned throughput has the line
    described = None if foundation is None else _describe(world, model.region, foundation)
    if foundation is None or described is None:
        yield _not_described(model, foundation)
        return
    lacks = _lacks(world, model, foundation)
    state = described_state(foundation, model.region, described, lacks)
    used = UsedModel(model.key, model.model_id, state, model.is_bought)
    fault, notice = used.fault(now), used.notice(now)
    if fault is not None:
        yield error(fault, _catalog(model.region) if state.lacks else _another(model, ()))
    elif notice is not None:
        yield warning(notice, _another(model, ()))
    else:
        yield ok(f"{model.name}: is {state.status} in {model.region}, the account may use it")
    yield from _single_calls(client, model, foundation, described)


def profile_findings(world: World, model: NamedModel) -> Iterator[Finding]:
    """Yield for every Region of an inference profile whether the account may use the model there.

    A record may be sent to any of them, so one that is closed fails some records at random.
    """
    regions, foundation = profile_regions(world, model), foundation_of(world, model)
    for region in regions or ():
        name = f"{model.name}: in {region}, one of its Regions,"
        try:
            lacks = _lacks(world, model, foundation or "", region)
        except UnansweredError as exc:
            if exc.is_denied_above:
                yield error(
                    f"{name} records fail at random: {exc.why}",
                    f"aws organizations update-policy    # except bedrock:* in {region}",
                )
            else:
                yield unknown(f"{name} access: {exc.why}", exc.fix)
            continue
        if lacks:
            yield error(f"{name} {'; '.join(lacks)}", _catalog(region))
        else:
            yield ok(f"{name} access is given")


def is_profile(model_id: str) -> bool:
    """Tell whether an id or ARN is one of an inference profile."""
    if model_id.startswith("arn:"):
        return "inference-profile/" in model_id
    return bare_model_id(model_id) != model_id


def profile_regions(world: World, model: NamedModel) -> list[str] | None:
    """Return the Regions of an inference profile; None if there is no such profile."""
    client = world.client("bedrock", model.region)
    found = ask(
        lambda: client.get_inference_profile(inferenceProfileIdentifier=model.model_id),
        *("bedrock:GetInferenceProfile", _profile_arn(world, model)),
        absent=_ABSENT,
    )
    if found is None:
        return None
    arns = [str(each.get("modelArn", "")) for each in found.get("models", ())]
    return sorted({arn.split(":")[3] for arn in arns if arn.count(":") > 3 and arn.split(":")[3]})


def foundation_arns(world: World, models: Iterable[NamedModel]) -> list[str]:
    """Return the ARNs of the foundation models, of a profile those of all its Regions.

    What the service does not tell is left out.
    """
    arns = []
    for model in models:
        try:
            foundation = foundation_of(world, model)
            regions = profile_regions(world, model) if is_profile(model.model_id) else None
        except UnansweredError:  # the probe of the model has the line
            continue
        if foundation is not None:
            prefix = f"arn:{world.partition}:bedrock"
            arns += [
                f"{prefix}:{region}::foundation-model/{foundation}"
                for region in regions or [model.region]
            ]
    return list(dict.fromkeys(arns))


def _profile_arn(world: World, model: NamedModel) -> str:
    if model.model_id.startswith("arn:"):
        return model.model_id
    return (
        f"arn:{world.partition}:bedrock:{model.region}:{world.account}:"
        f"inference-profile/{model.model_id}"
    )


def foundation_of(world: World, model: NamedModel) -> str | None:
    """Return the id of the foundation model; None if nothing shows it. Raises UnansweredError."""
    client = world.client("bedrock", model.region)
    of_units = is_provisioned(model.model_id)
    found = ask(
        lambda: foundation_model_of(client, model.model_id),
        "bedrock:GetProvisionedModelThroughput" if of_units else "bedrock:GetInferenceProfile",
        model.model_id,
        absent=_ABSENT,
    )
    return None if found is None else str(found)


def _describe(world: World, region: str, foundation: str) -> Mapping[str, Any] | None:
    client = world.client("bedrock", region)
    arn = f"arn:{world.partition}:bedrock:{region}::foundation-model/{foundation}"
    reply: Mapping[str, Any] | None = ask(
        lambda: client.get_foundation_model(modelIdentifier=foundation),
        *("bedrock:GetFoundationModel", arn),
        absent=_ABSENT,
    )
    return reply


def _not_described(model: NamedModel, foundation: str | None) -> Finding:
    if foundation is None or foundation != model.model_id:
        # A profile may serve a model that its home Region does not list.
        return unknown(f"{model.name}: {model.region} does not describe its foundation model")
    nearest = nearest_model_id(foundation)
    fix = _another(model, [nearest] if nearest not in (None, foundation) else ())
    return error(f"{model.name}: {model.region} has no such model", fix)


def _lacks(
    world: World, model: NamedModel, foundation: str, region: str | None = None
) -> tuple[str, ...]:
    if ":provisioned-model/" in model.model_id or ":custom-model/" in model.model_id:
        return ()
    client = world.client("bedrock", region or model.region)
    reply = ask(
        lambda: client.get_foundation_model_availability(modelId=foundation),
        "bedrock:GetFoundationModelAvailability",
    )
    is_plain = region is not None or foundation == model.model_id.rsplit("/", 1)[-1]
    return lacks_of(reply, model.model_id, is_plain=is_plain)


def _single_calls(
    client: Any, model: NamedModel, foundation: str, described: Mapping[str, Any]
) -> Iterator[Finding]:
    """Yield an error if the canary or the fallback calls a model that takes no call by its own id.

    Batch jobs take it.
    """
    kinds = described.get("modelDetails", {}).get("inferenceTypesSupported", ())
    if not model.is_called or foundation != model.model_id or not kinds or "ON_DEMAND" in kinds:
        return
    key = model.key if model.key in _SINGLE else "canary.model_id"
    profiles = profiles_of(client, foundation)
    fix = _line(key, profiles[0] if profiles else "AN-INFERENCE-PROFILE")
    yield error(f"{model.name}: takes single calls through an inference profile only", fix)


def _catalog(region: str) -> str:
    """Return the page on which an account requests access to a model; no command does."""
    return f"https://{region}.console.aws.amazon.com/bedrock/home?region={region}#/model-catalog"


def _another(model: NamedModel, ids: Sequence[str | None]) -> str:
    """Return the line of the config that names another model."""
    return _line(model.key, next((each for each in ids if each), "ANOTHER-MODEL"))


def _line(key: str, model_id: str) -> str:
    section, _, name = key.partition(".")
    return f"{section}: {{{name}: {model_id!r}}}".replace("'", '"')
