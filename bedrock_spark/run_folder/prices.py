"""The list prices that a run counts with: `prices.json`, looked up once and written down.

So every machine counts the same, whatever version of the price table it has. A model that the
config names later is added; what is written does not change. A model whose price is unknown is not
written down: as soon as a table has it, it counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from pydantic import ValidationError

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import ObjectChangedError, RunFolderError
from bedrock_spark.prices import ModelPrices, find_prices, price_table
from bedrock_spark.prices.run_prices import Find
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

FORMAT = 1


def recorded_prices(storage: Storage) -> Find:
    """Return a function that finds list prices: those of the run, or else those of the table.

    Raises RunFolderError if the file is damaged, or of another format.
    """
    data = storage.read_if_present(layout.PRICES_FILE)
    recorded = {} if data is None else {_key(m): m for m in _parse(storage, data)}

    def find(model_id: str, region: str | None) -> ModelPrices:
        known = recorded.get((model_id, region))
        return find_prices(model_id, region, price_table()) if known is None else known

    return find


def record_prices(storage: Storage, models: Iterable[ModelPrices]) -> None:
    """Write down the prices of the models that have none in the run folder yet.

    Raises RunFolderError if the file is damaged, or of another format.
    """
    known = [each for each in models if each.is_known]
    while True:
        found = storage.read_version(layout.PRICES_FILE)
        data, version = found or (None, None)
        recorded = () if data is None else _parse(storage, data)
        there = {_key(each) for each in recorded}
        new = [each for each in known if _key(each) not in there]
        if not new:
            return
        try:
            storage.replace(layout.PRICES_FILE, _encoded([*recorded, *new]), version)
        except ObjectChangedError:
            continue
        return


def _key(prices: ModelPrices) -> tuple[str, str | None]:
    return prices.model_id, prices.region


def _encoded(models: Iterable[ModelPrices]) -> bytes:
    values = [each.model_dump(mode="json", exclude_none=True) for each in models]
    content = {"format": FORMAT, "unit": "dollars per 1,000 tokens", "models": values}
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def _parse(storage: Storage, data: bytes) -> tuple[ModelPrices, ...]:
    uri = join_uri(storage.uri, layout.PRICES_FILE)
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise RunFolderError(f"{uri}: has format {content['format']}, not {FORMAT}")
        return tuple(ModelPrices(**values) for values in content["models"])
    except (ValueError, KeyError, TypeError, ValidationError) as exc:
        raise RunFolderError(
            f"{uri}: is not a file of prices; delete it to look them up again"
        ) from exc
