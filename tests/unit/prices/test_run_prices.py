"""The prices that a run counts with."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import TokenPrices
from bedrock_spark.errors import RunFolderError
from bedrock_spark.prices import (
    ModelPrices,
    PriceTable,
    RunPrices,
    find_prices,
    price_rows,
    prices_as_json,
    prices_of_run,
)
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder import prices as recorded
from bedrock_spark.run_folder.prices import find_among, read_prices, record_prices
from bedrock_spark.run_folder.run import Run, begin_run
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import PROVISIONED, make_config

ROWS: dict[str, dict[str, Any]] = {
    "a.batch": {
        "standard": {"input": "0.002", "output": "0.004", "cache_write": "0.003"},
        "batch": {"input": "0.001", "output": "0.002"},
    },
    "b.batch": {"batch": {"input": "0.003", "output": "0.001"}},
    "a.flex": {
        "standard": {"input": "0.004", "output": "0.008"},
        "flex": {"input": "0.002", "output": "0.004"},
        "priority": {"input": "0.007", "output": "0.014"},
    },
    "a.online": {"standard": {"input": "0.01", "output": "0.02"}, "long_input": 100_000},
    "a.image": {"image": "0.06"},
    "amazon.titan-image-generator-v2:0": {"image": "0.008"},
    "amazon.nova-canvas-v1:0": {"image": "0.06"},
}
TABLE = PriceTable("litellm 1.2.3", "2026-11-26", ROWS)
OWN = {"input": "0.5", "output": "0.6"}


def find(model_id: str, region: str | None) -> ModelPrices:
    return find_prices(model_id, region, TABLE)


def prices_for(model: str = "a.batch", **sections: Any) -> RunPrices:
    sections.setdefault("batch", {"region": "us-east-1"})
    return prices_of_run(make_config(model={"id": model, "family": "raw"}, **sections), find)


def pair(prices: TokenPrices | None) -> tuple[str, str] | None:
    return None if prices is None else (str(prices.input), str(prices.output))


def test_without_a_price_of_the_users_all_are_list_prices() -> None:
    """Batch, fallback and canary each have their own tier."""
    prices = prices_for(fallback={"model_id": "a.flex"})
    assert pair(prices.batch) == ("0.001", "0.002")
    assert pair(prices.fallback) == ("0.004", "0.008")
    assert pair(prices.flex) == ("0.002", "0.004")
    assert pair(prices.of_canary) == ("0.002", "0.004")
    assert (prices.has_flex, prices.unknown, prices.notes) == (True, (), ())
    assert prices.origins == ["litellm 1.2.3 of 2026-11-26, us-east-1"]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, ["0.001", "0.004", "0.002", "0.002"]),
        ({"batch": OWN}, ["0.5", "0.004", "0.002", "1.0"]),
        ({"fallback": OWN}, ["0.001", "0.5", "0.5", "0.002"]),
        ({"flex": OWN}, ["0.001", "0.004", "0.5", "0.002"]),
        ({"source": "none"}, [None, None, None, None]),
        ({"source": "none", "batch": OWN}, ["0.5", None, None, "1.0"]),
    ],
)
def test_a_price_of_the_users_wins(own: dict[str, Any], expected: list[str | None]) -> None:
    """For each key. A flex price follows the fallback's, and the canary's the batch price."""
    prices = prices_for(prices=own, fallback={"model_id": "a.flex"})
    parts = (prices.batch, prices.fallback, prices.flex, prices.of_canary)
    assert [None if p is None else str(p.input) for p in parts] == expected


@pytest.mark.parametrize(
    ("fallback", "expected"),
    [
        ({"model_id": "a.flex", "service_tier": "priority"}, "0.007"),
        ({"model_id": "a.flex", "service_tier": "flex"}, "0.002"),
        ({"model_id": "a.flex", "service_tier": "default"}, "0.004"),
        ({"model_id": "a.flex", "service_tier": "reserved"}, None),
        ({"model_id": PROVISIONED}, None),
        ({"model_id": "a.flex", "create": {"model_units": 1, "confirm": True}}, None),
    ],
)
def test_the_fallback_has_the_price_of_its_tier(
    fallback: dict[str, Any], expected: str | None
) -> None:
    """What is paid by the hour or by a commitment has no price by tokens, and is not unknown."""
    prices = prices_for(fallback=fallback)
    assert (prices.fallback and str(prices.fallback.input)) == expected
    assert prices.unknown == ()


def test_the_highest_price_of_the_targets_counts() -> None:
    """Which of them will take a shard is not known before."""
    both = [{"model_id": "a.batch"}, {"model_id": "b.batch", "region": "eu-west-1"}]
    assert pair(prices_for(targets=both).batch) == ("0.003", "0.002")
    one_unknown = [{"model_id": "a.batch"}, {"model_id": "a.online"}]
    assert prices_for(targets=one_unknown).batch is None


def test_a_source_is_named_once_with_all_its_places() -> None:
    """The fallback may have another Region's row."""
    rows = {**ROWS, "eu-west-1/a.flex": ROWS["a.flex"]}
    table = PriceTable("litellm 1.2.3", "2026-11-26", rows)
    config = make_config(
        model={"id": "a.batch", "family": "raw"},
        batch={"region": "eu-west-1"},
        fallback={"model_id": "a.flex"},
    )
    prices = prices_of_run(config, lambda *place: find_prices(*place, table))
    assert prices.origins == ["litellm 1.2.3 of 2026-11-26, us-east-1, eu-west-1"]


def test_what_is_not_known_says_so_with_the_line_to_type() -> None:
    """The price on demand is named, and not halved."""
    prices = prices_for("a.online", fallback={"model_id": "nobody.knows"})
    assert prices.batch is None
    assert [str(each) for each in prices.unknown] == [
        "the batch price of a.online is not in litellm 1.2.3 (on demand, it is 0.01 in, 0.02 out "
        "per 1,000); set prices.batch: {input: …, output: …}, in dollars per 1,000 tokens",
        "the standard price of nobody.knows is not in litellm 1.2.3; set "
        "prices.fallback: {input: …, output: …}, in dollars per 1,000 tokens",
    ]
    assert prices.notes == (
        "calls of a.online with more than 100,000 input tokens cost more than counted",
    )
    assert prices_for("a.image").unknown == ()
    assert prices_for("a.image").image == Decimal("0.06")


def test_the_rows_of_a_table_have_prices_origin_and_what_is_not_known() -> None:
    """In dollars per million tokens, as price lists have them."""
    assert price_rows(prices_for(fallback={"model_id": "a.flex"})) == [
        (
            "prices",
            "batch $1 in, $2 out; fallback $4 in, $8 out; flex $2 in, $4 out per million tokens",
        ),
        ("from", "list prices: litellm 1.2.3 of 2026-11-26, us-east-1"),
    ]
    own = prices_for(prices={"source": "none", "batch": OWN, "image": 1, "model_unit_hour": 21})
    assert price_rows(own) == [
        (
            "prices",
            "batch $500 in, $600 out per million tokens; $1 an image; $21 a model unit and hour",
        ),
        ("from", "the config's own"),
    ]
    assert price_rows(prices_for(prices={"source": "none"})) == [
        ("prices", "none: the cost is not shown")
    ]


def test_what_is_not_known_has_rows_of_its_own() -> None:
    """All of it in one row, with one row that says what to type. The canary's price is shown."""
    rows = dict(price_rows(prices_for("a.online", fallback={"model_id": "nobody.knows"})))
    assert rows["prices"] == "canary $10 in, $20 out per million tokens"
    assert "calls of a.online with more than 100,000 input tokens" in rows["from"]
    assert rows["no price"] == (
        "the batch price of a.online is not in litellm 1.2.3 (on demand, it is 0.01 in, 0.02 out "
        "per 1,000); the standard price of nobody.knows is not in litellm 1.2.3"
    )
    assert rows["to set it"] == (
        "prices.batch and prices.fallback: {input: …, output: …}, in dollars per 1,000 tokens"
    )


def test_json_has_exact_prices_and_null_for_what_is_not_known() -> None:
    """They are text, because a JSON number may be rounded."""
    values = prices_as_json(prices_for(fallback={"model_id": "nobody.knows"}))
    assert values["batch"] == {"input": "0.001", "output": "0.002"}
    assert values["canary"] == {"input": "0.002", "output": "0.004", "cache_write": "0.003"}
    assert values["fallback"] is values["image"] is None
    assert len(values["unknown"]) == 1
    json.dumps(values)


def run_in(folder: Path, **sections: Any) -> Run:
    config = make_config(str(folder), model={"id": "a.batch", "family": "raw"}, **sections)
    return Run("run-abcdefgh", config, LocalStorage(str(folder)), AwsSettings())


def use_table(monkeypatch: pytest.MonkeyPatch, source: str, **rows: dict[str, Any]) -> None:
    table = PriceTable(source, None, {**ROWS, **{k.replace("_", "."): v for k, v in rows.items()}})
    monkeypatch.setattr(recorded, "price_table", lambda: table)


def test_a_run_counts_with_the_prices_that_it_was_begun_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine has a newer table: only a model that is new to the run has its prices."""
    use_table(monkeypatch, "old")
    begun = run_in(tmp_path)
    record_prices(begun.storage, lambda _: begun.prices.models)
    newer = {"batch": {"input": "7", "output": "7"}, "standard": {"input": "9", "output": "9"}}
    use_table(monkeypatch, "new", a_batch=newer, a_online=newer)
    again = run_in(tmp_path, fallback={"model_id": "a.online"})
    assert again.prices.batch == begun.prices.batch
    assert pair(again.prices.fallback) == ("9", "9")
    assert again.prices.origins == ["old, us-east-1", "new, us-east-1"]
    before = again.storage.read(layout.PRICES_FILE)
    record_prices(again.storage, lambda _: again.prices.models)
    record_prices(again.storage, lambda _: again.prices.models)
    both = json.loads(again.storage.read(layout.PRICES_FILE))["models"]
    assert both[:1] == json.loads(before)["models"]
    assert [each["model_id"] for each in both] == ["a.batch", "a.online"]


def test_of_two_machines_that_begin_a_run_both_count_with_the_first_ones_prices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second looked the prices up, in another table, before the first wrote its own down."""
    newer = {"batch": {"input": "7", "output": "7"}, "standard": {"input": "9", "output": "9"}}
    use_table(monkeypatch, "new", a_batch=newer)
    second = run_in(tmp_path)
    assert pair(second.prices.batch) == ("7", "7")
    use_table(monkeypatch, "old")
    first = begin_run(run_in(tmp_path))
    assert begin_run(second).prices == first.prices
    assert pair(first.prices.batch) != ("7", "7")


def test_an_unknown_price_is_not_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as a table has it, it counts."""
    run = run_in(tmp_path, fallback={"model_id": "c.new"})
    use_table(monkeypatch, "old")
    record_prices(run.storage, lambda _: run.prices.models)
    use_table(monkeypatch, "new", c_new=ROWS["a.flex"])
    assert pair(run_in(tmp_path, fallback={"model_id": "c.new"}).prices.fallback) == (
        "0.004",
        "0.008",
    )


def test_prices_of_two_processes_at_once_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first to write a model wins; each adds what the other has not."""
    storage = LocalStorage(str(tmp_path))
    one, two = find("a.batch", None), find("a.flex", None)
    read = storage.read_version
    raced: list[int] = []

    def read_and_lose(key: str) -> Any:
        found = read(key)
        if not raced:
            raced.append(1)
            record_prices(LocalStorage(str(tmp_path)), lambda _: [one])
        return found

    monkeypatch.setattr(storage, "read_version", read_and_lose)
    later = one.model_copy(update={"source": "later"})
    assert record_prices(storage, lambda _: [two, later]).models == (one, two)
    find_again = find_among(read_prices(storage).models)
    assert (find_again("a.batch", None), find_again("a.flex", None)) == (one, two)


@pytest.mark.parametrize(
    "damaged", [b"", b"[]", b'{"format": 3}', b'{"format": 1}', b'{"format": 1, "models": [{}]}']
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, damaged: bytes) -> None:
    """A cost on wrong prices would look right."""
    storage = LocalStorage(str(tmp_path))
    storage.create(layout.PRICES_FILE, damaged)
    with pytest.raises(RunFolderError, match=r"prices\.json"):
        read_prices(storage)


TITAN, CANVAS = "amazon.titan-image-generator-v2:0", "amazon.nova-canvas-v1:0"


@pytest.mark.parametrize(
    ("model", "request_", "more", "noted"),
    [
        (TITAN, {"prompt": "x", "width": 512, "height": 512}, {}, ""),
        (TITAN, {"prompt": "x"}, {}, "above 512 pixels or premium cost more; set prices.image"),
        (TITAN, {"prompt": "x"}, {"prices": {"image": 0.012}}, ""),
        (CANVAS, {"prompt": "x"}, {}, ""),
        (
            CANVAS,
            {"body": {"imageGenerationConfig": {"quality": "premium", "width": "{{ w }}"}}},
            {},
            "premium ones above 1,024 pixels cost more",
        ),
    ],
)
def test_images_that_may_cost_more_than_the_list_are_noted(
    model: str, request_: dict[str, Any], more: dict[str, Any], noted: str
) -> None:
    """A budget counts the list price, so the config is told to name the highest one."""
    prices = prices_for(model, request=request_, **more)
    assert noted in "".join(prices.notes)
    assert bool(prices.notes) is bool(noted)
