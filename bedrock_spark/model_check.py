"""The models of a run: have they ended, do they end soon, and may the account use them?

The service is asked once per model and command. A fault stops a run only while nothing was paid
for: afterwards it must not keep anybody from collecting the answers.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bedrock_spark.aws.model_state import LEGACY, ModelState, ask_model_state
from bedrock_spark.config import Config
from bedrock_spark.errors import ModelUnavailableError
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)

# Models are Legacy for six months or 45 days before they end: Amazon Bedrock user guide, "Model
# lifecycle" and "Model lifecycle (Legacy)".
NEAR_DAYS = 90
_DAY_SECONDS = 86_400.0
_LIFECYCLE_PAGE = "https://docs.aws.amazon.com/bedrock/latest/userguide/model-lifecycle.html"


@dataclass(frozen=True)
class UsedModel:
    """A model that a config names, and what the service says of it.

    key: where the config names it; model_id: as it stands there
    is_bought: whether the run buys model units of it
    """

    key: str
    model_id: str
    state: ModelState
    is_bought: bool = False

    def fault(self, now: float) -> str | None:
        """Return why the model cannot be used, or None."""
        ends_at = self.state.ends_at
        if ends_at is not None and ends_at <= now:
            return (
                f"{self._name}: Amazon Bedrock has ended this model on {_date(ends_at)}; take "
                f"another one: {_LIFECYCLE_PAGE}"
            )
        if self.state.lacks:
            return f"{self._name}: {'; '.join(self.state.lacks)}"
        if self.is_bought and self.state.status == LEGACY:
            # Amazon Bedrock user guide, "Model lifecycle"
            return (
                f"{self._name}: is marked Legacy, and no provisioned throughput can be bought of a "
                "Legacy model; leave out fallback.create"
            )
        return None

    def notice(self, now: float) -> str | None:
        """Return the line that says that the model ends soon, or is Legacy; None otherwise."""
        state = self.state
        is_near = state.ends_at is not None and 0 < state.ends_at - now <= NEAR_DAYS * _DAY_SECONDS
        if not is_near and state.status != LEGACY:
            return None
        parts = ["is marked Legacy"] if state.status == LEGACY else []
        if state.ends_at is not None:
            parts.append(f"ends on {_date(state.ends_at)}, {_distance(_date(state.ends_at), now)}")
        if state.extended_access_at is not None:
            tense = "costs more since" if state.extended_access_at <= now else "may cost more from"
            parts.append(f"{tense} {_date(state.extended_access_at)} (extended access)")
        return f"{self._name}: {', '.join(parts)}"

    def as_json(self) -> dict[str, Any]:
        """Return the model as report.json holds it."""
        state = self.state
        return {
            "key": self.key,
            "model_id": self.model_id,
            "foundation_model": state.model_id,
            "region": state.region,
            "status": state.status,
            "legacy_on": _date_or_none(state.legacy_at),
            "extended_access_on": _date_or_none(state.extended_access_at),
            "ends_on": _date_or_none(state.ends_at),
        }

    @property
    def _name(self) -> str:
        return f"{self.key} = {self.model_id!r}"


def ask_models(run: Run) -> tuple[UsedModel, ...]:
    """Return what the service says of every model of a run, as far as it says anything.

    One question per model and Region. A run folder that is not in S3 has no jobs, so nothing is
    asked.
    """
    if not run.storage.uri.startswith("s3://"):
        return ()
    known: dict[tuple[str, str], ModelState | None] = {}
    used = []
    for key, model_id, region in named_models(run.config):
        place = model_id, region
        if place not in known:
            known[place] = ask_model_state(replace(run.aws, region=region or None), model_id)
        state = known[place]
        if state is not None:
            is_bought = key == "fallback.model_id" and _buys(run.config)
            used.append(UsedModel(key, model_id, state, is_bought))
    return tuple(used)


def faults_of(models: Iterable[UsedModel], now: float, keys: str = "") -> list[str]:
    """Return why models cannot be used; only of those whose key begins with `keys`."""
    chosen = [model for model in models if model.key.startswith(keys)]
    faults = (model.fault(now) for model in _each_once(chosen))
    return [fault for fault in faults if fault is not None]


def refuse_unusable(faults: list[str], config: Config) -> None:
    """Raise ModelUnavailableError with all faults, or only warn with `batch.lint: ignore`."""
    if not faults:
        return
    if config.batch.lint == "ignore":
        for fault in faults:
            log.warning("%s", fault)
        return
    advice = "No record was asked. If the service is wrong about it, set batch.lint: ignore"
    raise ModelUnavailableError("\n".join([*faults, advice]))


def notices_of(models: Iterable[UsedModel], now: float) -> list[str]:
    """Return a line for each model that ends soon or is Legacy."""
    notices = (model.notice(now) for model in _each_once(models))
    return [notice for notice in notices if notice is not None]


def named_models(config: Config) -> Iterator[tuple[str, str, str]]:
    """Yield each model of a config: its key, its id or ARN, and the Region that is to answer."""
    home = config.batch.region or ""
    yield "model.id", config.model.id, home
    for i, target in enumerate(config.targets):
        yield f"targets[{i}].model_id", target.model_id, target.region or home
    if config.canary.model_id is not None and config.canary.records:
        yield "canary.model_id", config.canary.model_id, home
    if config.fallback is not None:
        yield "fallback.model_id", config.fallback.model_id, home


def _buys(config: Config) -> bool:
    return config.fallback is not None and config.fallback.create is not None


def _each_once(models: Iterable[UsedModel]) -> list[UsedModel]:
    """Return each model once, with all keys that name it."""
    merged: dict[tuple[str, str], UsedModel] = {}
    for model in models:
        place = model.model_id, model.state.region
        known = merged.get(place)
        if known is not None:
            key, is_bought = f"{known.key} and {model.key}", known.is_bought or model.is_bought
            model = replace(known, key=key, is_bought=is_bought)
        merged[place] = model
    return list(merged.values())


def ends_soon(models: Iterable[Mapping[str, Any]], now: float) -> list[str]:
    """Return when models end, each model once, as the closing table shows it.

    models: as report.json holds them
    """
    keys: dict[str, list[str]] = {}
    for model in models:
        text = _end_of(model, now)
        if text is not None:
            keys.setdefault(text, []).append(model["key"])
    return [f"{text} ({' and '.join(named)})" for text, named in keys.items()]


def _end_of(model: Mapping[str, Any], now: float) -> str | None:
    """Return when a model ends; None if that is not near."""
    if model.get("ends_on") is None:
        return None
    if _days_until(model["ends_on"], now) > NEAR_DAYS:
        return None
    return f"{model['model_id']} on {model['ends_on']}, {_distance(model['ends_on'], now)}"


def _days_until(date: str, now: float) -> int:
    today = dt.datetime.fromtimestamp(now, dt.UTC).date()
    return (dt.date.fromisoformat(date) - today).days


def _distance(date: str, now: float) -> str:
    days = _days_until(date, now)
    number = f"{abs(days)} day{'s' * (abs(days) != 1)}"
    return f"in {number}" if days >= 0 else f"{number} ago"


def _date(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date().isoformat()


def _date_or_none(seconds: float | None) -> str | None:
    return None if seconds is None else _date(seconds)
