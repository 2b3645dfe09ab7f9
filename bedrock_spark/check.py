"""Check a config as far as that needs no network, no Spark and no money: every problem at once.

Only a config that is in S3 is read from there.

Every command and `Pipeline.open` begin with this check. What only the service or the data can tell
is checked later, but before money is spent: see docs/config.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bedrock_spark.aws.model_family import hides_family
from bedrock_spark.aws.regions import region_fault
from bedrock_spark.config import Config, ResultsConfig
from bedrock_spark.config.draft import Draft
from bedrock_spark.config.formats import format_faults
from bedrock_spark.config.load import AnyConfig
from bedrock_spark.config.price_units import price_faults
from bedrock_spark.config.problems import Problem
from bedrock_spark.config_file import read_any_config
from bedrock_spark.costs.used import missing_prices
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import bare_model_id, family_of_model
from bedrock_spark.families.check_request import request_faults, template_faults
from bedrock_spark.families.model_ids import meant_model_id, nearest_model_id
from bedrock_spark.families.no_chat import what_else
from bedrock_spark.prices import RunPrices, find_prices, price_table, prices_of_run


def check_config(config: AnyConfig, overrides: Iterable[str] = ()) -> Config:
    """Return a config in which no problem was found. Raises ConfigError that names every problem.

    config: a Config, plain values, or a YAML or JSON file, which may be in S3
    overrides: `key=value`, or a JSON object of such keys and values, applied in order
    """
    reading = read_any_config(config, overrides)
    if reading.draft is not None:
        reading.problems.extend(problems_of(reading.draft))
    return reading.checked()


def list_prices(config: Config) -> RunPrices:
    """Return the prices that a new run of this config would count with."""
    table = price_table()
    return prices_of_run(config, lambda model_id, region: find_prices(model_id, region, table))


def problems_of(draft: Draft) -> list[Problem]:
    """Return the problems of a config that its keys and values alone do not show."""
    templates = template_faults(draft.config.request)
    problems = list(templates)
    for check, needed in _CHECKS:
        if draft.has(*needed):
            problems += check(draft.config)
    if draft.has("request", "model") and not _hides(draft.config):
        problems += request_faults(_readable(draft), has_templates=not templates)
    return problems


def _readable(draft: Draft) -> Config:
    """Return the config without the sections that cannot be used, and only add to the request."""
    empty = {"results": ResultsConfig(), "targets": (), "fallback": None}
    return draft.config.model_copy(update={k: v for k, v in empty.items() if not draft.has(k)})


def _hides(config: Config) -> bool:
    """Tell whether the family is not known yet, or the model's id is already reported."""
    return hides_family(config.model) or bool(_model_id_fault("model.id", config.model.id, config))


def _model_id_faults(config: Config) -> list[Problem]:
    """Return misspelt model ids."""
    ids = [("model.id", config.model.id)]
    if config.canary.model_id is not None:
        ids.append(("canary.model_id", config.canary.model_id))
    if config.fallback is not None:
        ids.append(("fallback.model_id", config.fallback.model_id))
    ids += [(f"targets[{i}].model_id", target.model_id) for i, target in enumerate(config.targets)]
    return [problem for key, model_id in ids for problem in _model_id_fault(key, model_id, config)]


def _model_id_fault(key: str, model_id: str, config: Config) -> list[Problem]:
    """Return what is wrong with a model id. If the config names the family, it knows better."""
    if config.model.family is not None:
        return []
    bare = bare_model_id(model_id)
    meant = meant_model_id(bare)
    if meant is None and key == "model.id" and not hides_family(config.model):
        try:
            family_of_model(config.model)
        except ConfigError:
            # A model of another kind, such as one that makes images, is no misspelt chat model.
            meant = nearest_model_id(bare) if what_else(bare) is None else None
    if meant is None:
        return []
    return [
        Problem(
            f"{key} = {model_id!r}: is no known model id; did you mean "
            f"{model_id.replace(bare, meant)}? If it is a new model, set model.family"
        )
    ]


def _region_faults(config: Config) -> list[Problem]:
    regions = [("batch.region", config.batch.region)]
    regions += [(f"targets[{i}].region", target.region) for i, target in enumerate(config.targets)]
    faults = ((k, name, region_fault(name)) for k, name in regions if name is not None)
    return [Problem(f"{key} = {name!r}: {fault}") for key, name, fault in faults if fault]


def _cost_profile_faults(config: Config) -> list[Problem]:
    """Return models that no inference profile can be made of: botocore, modelSource.copyFrom."""
    if not config.batch.cost_profile:
        return []
    ids = [("model.id", config.model.id)] if not config.targets else []
    ids += [(f"targets[{i}].model_id", target.model_id) for i, target in enumerate(config.targets)]
    kinds = ":foundation-model/", ":inference-profile/"
    return [
        Problem(
            f"batch.cost_profile: {key} = {model_id!r}: a profile is made of a foundation model or "
            "of a system-defined profile only; leave batch.cost_profile out"
        )
        for key, model_id in ids
        if model_id.startswith("arn:") and not any(kind in model_id for kind in kinds)
    ]


def _format_faults(config: Config) -> list[Problem]:
    is_published = config.results.place is not None
    formats = config.source.format, config.results.format
    return [Problem(text) for text in format_faults(*formats, is_published=is_published)]


def _price_faults(config: Config) -> list[Problem]:
    if config.batch.lint == "ignore":
        return []
    return [Problem(text) for text in price_faults(config.prices)]


def _missing_prices(config: Config) -> list[Problem]:
    """Return the prices that a budget needs and that are not known. A misspelt model has none."""
    if _model_id_fault("model.id", config.model.id, config):
        return []
    try:
        return [Problem(text) for text in missing_prices(config, list_prices(config))]
    except ConfigError:  # the model has no family, and another check says so
        return []


_CHECKS: tuple[tuple[Callable[[Config], list[Problem]], tuple[str, ...]], ...] = (
    (_model_id_faults, ("model", "canary", "fallback", "targets")),
    (_region_faults, ("batch", "targets")),
    (_cost_profile_faults, ("batch", "model", "targets")),
    (_format_faults, ("source", "results")),
    (_price_faults, ("prices",)),
    (_missing_prices, ("run_uri", "model", "prices", "budget", "fallback", "source", "results")),
)
