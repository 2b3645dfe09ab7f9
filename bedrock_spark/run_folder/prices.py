"""The list prices that a run counts with: `prices.json`, looked up once and written down.

So every machine counts the same, whatever version of the price table it has. A model that the
config names later is added; what is written does not change. A model whose price is unknown is not
written down: as soon as a table has it, it counts.

The file also names every model that a config of the run has named for batch jobs, the canary or the
fallback, each with the user's own prices of it, the last ones. So an answer costs what its model
costs, also after the config has named another model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import ObjectChangedError, RunFolderError
from bedrock_spark.prices import ModelPrices, NamedFallback, find_prices, price_table
from bedrock_spark.prices.place_prices import Find, NamedPlace
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

FORMAT = 3


@dataclass(frozen=True)
class RecordedPrices:
    """What `prices.json` holds.

    models: list prices
    fallbacks, places: the fallback models, and the targets and canary models, that the configs of
        the run have named
    """

    models: tuple[ModelPrices, ...] = ()
    fallbacks: tuple[NamedFallback, ...] = ()
    places: tuple[NamedPlace, ...] = ()


def read_prices(storage: Storage) -> RecordedPrices:
    """Return the prices that are written down.

    Raises RunFolderError if the file is damaged, or of another format.
    """
    data = storage.read_if_present(layout.PRICES_FILE)
    return RecordedPrices() if data is None else parse_prices(storage, data)


def find_among(recorded: Iterable[ModelPrices]) -> Find:
    """Return a function that finds list prices: those of the run, or else those of the table."""
    known = {_key(each): each for each in recorded}

    def find(model_id: str, region: str | None) -> ModelPrices:
        found = known.get((model_id, region))
        return find_prices(model_id, region, price_table()) if found is None else found

    return find


def record_prices(
    storage: Storage,
    needed: Callable[[Find], Iterable[ModelPrices]],
    fallback: NamedFallback | None = None,
    places: Iterable[NamedPlace] = (),
    *,
    may_exist: bool = True,
) -> RecordedPrices:
    """Write down the prices of the models that have none in the run folder yet.

    needed: returns the prices that the run counts with, given the function that finds them
    fallback: the fallback model of the config, with the user's own prices; None without a fallback
    places: its targets and its canary model, with the user's own price
    may_exist: whether the file may be there. If it is, though it may not, nothing is overwritten
    Returns all prices that are written down then. Raises RunFolderError if the file is damaged, or
    of another format.
    """
    named = list(places)
    while True:
        found = storage.read_version(layout.PRICES_FILE) if may_exist else None
        data, version = found or (None, None)
        recorded = RecordedPrices() if data is None else parse_prices(storage, data)
        there = {_key(each) for each in recorded.models}
        models = needed(find_among(recorded.models))
        new = [each for each in models if each.is_known and _key(each) not in there]
        changed = RecordedPrices(
            (*recorded.models, *new),
            _with(recorded.fallbacks, fallback),
            _with_places(recorded.places, named),
        )
        if changed == recorded:
            return recorded
        try:
            storage.replace(layout.PRICES_FILE, _encoded(changed), version)
        except ObjectChangedError:
            may_exist = True
            continue
        return changed


def _key(prices: ModelPrices) -> tuple[str, str | None]:
    return prices.model_id, prices.region


def _with(
    fallbacks: tuple[NamedFallback, ...], new: NamedFallback | None
) -> tuple[NamedFallback, ...]:
    if new is None or new in fallbacks:
        return fallbacks
    return (*(each for each in fallbacks if each.model_id != new.model_id), new)


def _with_places(
    places: tuple[NamedPlace, ...], named: Iterable[NamedPlace]
) -> tuple[NamedPlace, ...]:
    """Return the places with the last price of each, in the order in which they were named."""
    by_key = {each.key: each for each in places}
    by_key.update((each.key, each) for each in named)
    return tuple(by_key.values())


def _encoded(prices: RecordedPrices) -> bytes:
    content = {
        "format": FORMAT,
        "unit": "dollars per 1,000 tokens",
        "models": _plain(prices.models),
        "fallback_models": _plain(prices.fallbacks),
        "batch_models": _plain(prices.places),
    }
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def _plain(values: Iterable[BaseModel]) -> list[dict[str, Any]]:
    return [each.model_dump(mode="json", exclude_none=True) for each in values]


def parse_prices(storage: Storage, data: bytes) -> RecordedPrices:
    """Return the prices of these bytes. Raises RunFolderError as `read_prices`."""
    uri = join_uri(storage.uri, layout.PRICES_FILE)
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise RunFolderError(f"{uri}: has format {content['format']}, not {FORMAT}")
        return RecordedPrices(
            tuple(ModelPrices(**values) for values in content["models"]),
            tuple(NamedFallback(**values) for values in content["fallback_models"]),
            tuple(NamedPlace(**values) for values in content["batch_models"]),
        )
    except (ValueError, KeyError, TypeError, ValidationError) as exc:
        raise RunFolderError(
            f"{uri}: is not a file of prices; delete it to look them up again"
        ) from exc
