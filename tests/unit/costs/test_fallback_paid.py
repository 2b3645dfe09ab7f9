"""What an answer of the fallback costs, by the model that gave it, and where that is counted."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import FallbackConfig
from bedrock_spark.costs.budget import open_budget
from bedrock_spark.costs.fallback_paid import cost_of_round, fallback_paid
from bedrock_spark.costs.tokens import Expected, Tokens
from bedrock_spark.costs.used import missing_prices
from bedrock_spark.errors import ConfigError
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.prices import ModelPrices, RunPrices, find_prices, tier_paid
from bedrock_spark.prices.table import PriceTable
from bedrock_spark.report import Ending, build_report, totals_of
from bedrock_spark.run_folder import prices as prices_file
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.model_use import ModelUse, UseByModel
from bedrock_spark.run_folder.run import Run, _with_prices_recorded
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import make_config

ARN = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghij12"
MANIFEST = RunManifest("r", 10, "a INT", (Shard("s", 10, 1_000, "x"),), ())
EXPECTED = Expected(0.25, 10, "")


def row(standard: float, **tiers: float) -> dict[str, Any]:
    """Return a row of the table: dollars per 1,000 tokens, in and out alike."""
    each = {"standard": standard, **tiers}
    return {name: {"input": price, "output": price} for name, price in each.items()}


TABLE = PriceTable(
    "table 1",
    None,
    {
        "old-model": row(3, flex=1, priority=5),
        "new-model": row(7, flex=2),
        "plain-model": row(4),
        "images-model": {"image": Decimal("0.5")},
    },
)
CREATE = {"create": {"model_units": 1, "confirm": True}}
NINE = {"input": 9, "output": 9}
OWN = {"fallback": {"input": 20, "output": 20}}


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices_file, "price_table", lambda: TABLE)


def run_of(folder: Path, *configs: dict[str, Any]) -> Run:
    """Return a run that was carried on with each of these configs, the last one now."""
    run = None
    for sections in configs:
        config = make_config(str(folder), **sections)
        run = Run("run-abcdefgh", config, LocalStorage(str(folder)), AwsSettings("us-east-1"))
        run = _with_prices_recorded(run)
    assert run is not None
    # Another machine reads what the last one has written.
    return Run(run.run_id, run.config, run.storage, run.aws)


def fallback_of(model_id: str, **more: Any) -> dict[str, Any]:
    prices = more.pop("prices", {})
    return {"fallback": {"model_id": model_id, **more}, "prices": prices}


@pytest.mark.parametrize(
    ("configs", "answered", "dollars"),
    [
        # The model of now, at each tier.
        ([fallback_of("old-model")], ("old-model", "standard"), 3),
        ([fallback_of("old-model")], ("old-model", "flex"), 1),
        ([fallback_of("old-model")], ("old-model", "priority"), 5),
        ([fallback_of("plain-model")], ("plain-model", "flex"), 4),
        ([fallback_of("plain-model")], ("plain-model", "priority"), None),
        ([fallback_of("old-model")], (None, "standard"), 3),
        ([fallback_of("old-model", prices=OWN)], ("old-model", "flex"), 20),
        # Another model since: each answer keeps the price of its own model and tier.
        ([fallback_of("old-model"), fallback_of("new-model")], ("old-model", "standard"), 3),
        ([fallback_of("old-model"), fallback_of("new-model")], ("old-model", "flex"), 1),
        ([fallback_of("old-model"), fallback_of("new-model")], ("new-model", "standard"), 7),
        ([fallback_of("old-model"), {}], ("old-model", "standard"), 3),
        ([fallback_of("old-model"), fallback_of(ARN)], ("old-model", "standard"), 3),
        # The user's own price of the earlier model is remembered, that of the new one is not its.
        (
            [fallback_of("old-model", prices=OWN), fallback_of("new-model")],
            ("old-model", "standard"),
            20,
        ),
        (
            [fallback_of("old-model"), fallback_of("new-model", prices=OWN)],
            ("old-model", "standard"),
            3,
        ),
        # A price that is not known is unknown, not $0, until the user names it.
        ([fallback_of("unheard-of"), fallback_of("new-model")], ("unheard-of", "standard"), None),
        ([fallback_of("new-model")], ("unheard-of", "standard"), None),
        ([fallback_of("new-model", prices=OWN)], ("unheard-of", "standard"), None),
        (
            [fallback_of("new-model", prices={"earlier": {"unheard-of": NINE}})],
            ("unheard-of", "standard"),
            9,
        ),
        (
            [fallback_of("old-model"), fallback_of("new-model", prices={"source": "none"})],
            ("old-model", "standard"),
            None,
        ),
        # Provisioned throughput: bought units are paid by the hour; that of the user is not known.
        ([fallback_of("old-model", **CREATE)], ("old-model", "units"), 0),
        ([fallback_of("old-model", **CREATE), fallback_of("old-model")], ("old-model", "units"), 0),
        (
            [fallback_of("old-model"), fallback_of("old-model", **CREATE)],
            ("old-model", "standard"),
            3,
        ),
        ([fallback_of(ARN)], (ARN, "standard"), None),
        ([fallback_of(ARN, prices={"fallback": {"input": 0, "output": 0}})], (ARN, "standard"), 0),
        # The tier of now is not that of the answer.
        (
            [fallback_of("old-model"), fallback_of("old-model", service_tier="priority")],
            ("old-model", "standard"),
            3,
        ),
    ],
)
def test_an_answer_costs_what_its_own_model_costs(
    tmp_path: Path,
    configs: list[dict[str, Any]],
    answered: tuple[str | None, str],
    dollars: int | None,
) -> None:
    """1,000 tokens. The same sum is in the report, and a budget refuses what it cannot count."""
    run = run_of(tmp_path, *configs)
    use = ModelUse(*answered, 5, {"input": 600, "output": 400})
    paid = fallback_paid([[use]], run.prices, EXPECTED, MANIFEST)
    assert [part.cost for part in paid.parts] == [dollars]
    assert paid.unpriced == ((use,) if dollars is None else ())

    unit = ReconciledShard(unit="s", rows=10, outcomes={"ok": 10}, fallback_models=(use,))
    report = build_report(run, MANIFEST, {}, totals_of(MANIFEST, [unit]), {}, Ending())
    assert [each["cost_usd"] for each in report.fallback_models] == [dollars]
    assert (report.cost or {}).get("fallback", 0) == (dollars or 0)
    assert bool(report.unpriced) is (dollars is None)
    if report.unpriced:
        assert report.whole_cost is None
    assert report.fallback_tokens == {"input": 600, "output": 400}
    assert report.paid_tokens == {"input": 600, "output": 400}

    own = {"batch": {"input": 1, "output": 1}, "model_unit_hour": 1}
    sections = {**configs[-1], "budget": 1_000}
    sections["prices"] = {**own, **configs[-1].get("prices", {})}
    limited = run_of(tmp_path, *configs, sections)
    if [*missing_prices(limited.config, limited.prices)]:
        return  # without a price of the model of now, a budget is refused before
    budget = open_budget(limited, MANIFEST, (), 0.0, {}, [[use]])
    assert budget is not None
    if dollars is None:
        with pytest.raises(ConfigError, match=r"the price of .*prices\.earlier"):
            budget.spent()
    else:
        assert budget.spent() == dollars


def test_an_image_costs_what_its_own_model_asks(tmp_path: Path) -> None:
    """A price of the user is that of every image."""
    use = ModelUse("images-model", "standard", 2, {"input": 0, "output": 0, "images": 4})
    earlier = fallback_of("images-model")
    run = run_of(tmp_path, earlier, fallback_of("new-model"))
    assert fallback_paid([[use]], run.prices, EXPECTED, MANIFEST).dollars == 2
    run = run_of(tmp_path, earlier, fallback_of("new-model", prices={"image": 3}))
    assert fallback_paid([[use]], run.prices, EXPECTED, MANIFEST).dollars == 12


def test_answers_that_count_nothing_are_estimated_at_the_price_of_their_model(
    tmp_path: Path,
) -> None:
    """A record has 100 bytes, so 25 tokens in, and 10 out."""
    run = run_of(tmp_path, fallback_of("old-model"), fallback_of("new-model"))
    use = ModelUse("old-model", "standard", 4, {"uncounted": 4})
    paid = fallback_paid([[use]], run.prices, EXPECTED, MANIFEST)
    assert paid.tokens == Tokens(100, 40)
    assert paid.dollars == Decimal(3) * 140 / 1_000


def test_uses_are_few_and_add_up() -> None:
    """One for a model and a tier, in whatever order the shards come."""
    one = ModelUse("m", "standard", 2, {"input": 5, "output": 1})
    two = ModelUse("m", "flex", 1, {"input": 7, "output": 2})
    sums = UseByModel()
    for uses in ((one, two), (two,), (one,)):
        sums.add_all(uses)
    assert sums.uses() == (
        ModelUse("m", "flex", 2, {"input": 14, "output": 4}),
        ModelUse("m", "standard", 4, {"input": 10, "output": 2}),
    )
    assert sums.total() == {"input": 24, "output": 6}


@pytest.mark.parametrize(
    ("options", "told", "paid"),
    [
        ({}, None, "standard"),
        ({}, "default", "standard"),
        ({}, "flex", "flex"),
        ({"service_tier": "priority"}, "priority", "priority"),
        ({"service_tier": "priority"}, None, "priority"),
        ({"service_tier": "priority"}, "default", "standard"),
        ({"service_tier": "reserved"}, None, "reserved"),
        ({}, "a tier of tomorrow", "standard"),
        (CREATE, "default", "units"),
    ],
)
def test_the_tier_is_what_the_reply_says(
    options: dict[str, Any], told: str | None, paid: str
) -> None:
    """If it says nothing, that of the config; model units are paid by the hour."""
    assert tier_paid(FallbackConfig(model_id="m", **options), told) == paid


def test_a_round_costs_by_the_model_that_it_asks(tmp_path: Path) -> None:
    """Units without a price per hour have no known cost."""
    prices = run_of(tmp_path, fallback_of("new-model")).prices
    assert cost_of_round(prices, Tokens(1_000), Tokens(400)) == Decimal("0.6") * 7 + Decimal("0.8")
    create = fallback_of("old-model", **CREATE)
    assert cost_of_round(run_of(tmp_path, create).prices, Tokens(1_000), Tokens()) is None
    create["prices"] = {"model_unit_hour": 20}
    assert cost_of_round(run_of(tmp_path, create).prices, Tokens(1_000), Tokens()) == 0
    assert cost_of_round(RunPrices(), Tokens(1), Tokens()) is None


def test_what_was_recorded_is_kept_for_every_machine(tmp_path: Path) -> None:
    """The list price of an earlier model does not change if a newer table has another one."""
    run_of(tmp_path, fallback_of("old-model"), fallback_of("new-model"))
    recorded = prices_file.read_prices(LocalStorage(str(tmp_path)))
    assert [each.model_id for each in recorded.fallbacks] == ["old-model", "new-model"]
    known = {each.model_id for each in recorded.models}
    assert {"old-model", "new-model"} <= known
    newer = find_prices("old-model", "us-east-1", PriceTable("table 2", None, {}))
    assert isinstance(newer, ModelPrices)
    found = prices_file.find_among(recorded.models)("old-model", "us-east-1")
    assert found.tiers["standard"].input == 3
