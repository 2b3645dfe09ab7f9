"""A batch job and a try of the canary cost what their own models cost, whatever is named today."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.costs.budget import open_budget
from bedrock_spark.costs.run_cost import RunCost, cost_so_far
from bedrock_spark.errors import ConfigError
from bedrock_spark.prices import prices_as_json
from bedrock_spark.prices.table import PriceTable
from bedrock_spark.prices.words import price_rows
from bedrock_spark.report import Ending, build_report, totals_of
from bedrock_spark.run_folder import prices as prices_file
from bedrock_spark.run_folder.canary_results import Canary, add_try
from bedrock_spark.run_folder.job_plan import Place, plan_job
from bedrock_spark.run_folder.ledger import Job, JobTokens, KnownJobs
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import Run, _with_prices_recorded
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import make_config

SHARD = Shard("shard-00000-00", 10, 1_000, "x")
MANIFEST = RunManifest("r", 10, "a INT", (SHARD,), ())
HOME, WEST = "us-east-1", "us-west-2"


def row(**tiers: float) -> dict[str, Any]:
    """Return a row of the table: dollars per 1,000 tokens, in and out alike."""
    return {name: {"input": price, "output": price} for name, price in tiers.items()}


TABLE = PriceTable(
    "table 1",
    None,
    {
        "cheap": row(standard=4, batch=2),
        f"{WEST}/cheap": row(standard=5, batch=3),
        "dear": row(standard=40, batch=20),
        "online": row(standard=7),
        "us.cheap": row(standard=6, batch=4),
        "batch-only": row(batch=8),
        "images": {"image": Decimal("0.5")},
        "pictures": {"image": Decimal("0.25")},
    },
)


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices_file, "price_table", lambda: TABLE)


def own(price: float) -> dict[str, Any]:
    return {"prices": {"batch": {"input": price, "output": price}}}


def with_targets(*targets: tuple[str, str], **sections: Any) -> dict[str, Any]:
    named = [
        {"model_id": model_id, "region": region, "uri": "s3://there/x"}
        for model_id, region in targets
    ]
    return {"targets": named, **sections}


def with_model(model_id: str, **sections: Any) -> dict[str, Any]:
    return {"model": {"id": model_id, "family": "raw"}, **sections}


def run_of(folder: Path, *configs: dict[str, Any]) -> Run:
    """Return a run that was carried on with each of these configs, the last one now."""
    run = None
    for sections in configs:
        values = {**with_model("cheap"), "batch": {"region": HOME}, **sections}
        config = make_config(str(folder), **values)
        run = Run("run-abcdefgh", config, LocalStorage(str(folder)), AwsSettings(HOME))
        run = _with_prices_recorded(run)
    assert run is not None
    # Another machine reads what the last one has written.
    return Run(run.run_id, run.config, run.storage, run.aws)


def a_job(place: Place | None, number: int = 1, status: str = "Completed", **more: Any) -> Job:
    """Return a job that used 1,000 tokens."""
    name = f"job-{number}"
    seen = SeenJob("arn", name, "t", status, total=10, processed=10, succeeded=10)
    values = {"tokens": JobTokens(600, 400), **more}
    return Job(SHARD.shard_id, number, name, "t", seen, place=place, **values)


def a_try(model_id: str) -> Canary:
    """Return a try that used 1,000 tokens."""
    return Canary(model_id, 0.0, 5, 5, 0, 500, 600, 400)


def cost_of(run: Run, *jobs: Job, tries: tuple[Canary, ...] = ()) -> RunCost:
    return cost_so_far(run, MANIFEST, {job.job_name: job for job in jobs}, tries, [])


BOTH = with_targets(("cheap", HOME), ("dear", WEST))


@pytest.mark.parametrize(
    ("configs", "place", "dollars"),
    [
        # Each target has the price of its model, and of its Region if the table has one.
        ([{}], ("cheap", HOME), 2),
        ([BOTH], ("cheap", HOME), 2),
        ([BOTH], ("dear", WEST), 20),
        ([with_targets(("cheap", HOME), ("cheap", WEST))], ("cheap", WEST), 3),
        # The user's own price is one for all targets.
        ([{**BOTH, **own(9)}], ("cheap", HOME), 9),
        # A target that was removed, and another model: the price of then is kept.
        ([BOTH, {}], ("dear", WEST), 20),
        ([BOTH, {}], ("cheap", HOME), 2),
        ([BOTH, own(9)], ("dear", WEST), 20),
        ([{**BOTH, **own(9)}, {}], ("dear", WEST), 9),
        ([{**BOTH, **own(9)}, own(5)], ("dear", WEST), 9),
        # While the config names it, the last own price counts.
        ([own(9), own(5)], ("cheap", HOME), 5),
        ([own(9), {}], ("cheap", HOME), 2),
        # A price that is not known stays so, until the user says one.
        ([with_targets(("cheap", HOME), ("online", WEST))], ("online", WEST), None),
        ([with_targets(("cheap", HOME), ("online", WEST))], ("cheap", HOME), 2),
        ([with_targets(("cheap", HOME), ("online", WEST)), {}], ("online", WEST), None),
        ([with_targets(("cheap", HOME), ("online", WEST)), own(5)], ("online", WEST), 5),
        ([BOTH, {"prices": {"source": "none"}}], ("dear", WEST), None),
        # A job whose place is not known counts with the highest price.
        ([BOTH], None, 20),
    ],
)
def test_a_job_costs_what_its_own_target_costs(
    tmp_path: Path,
    configs: list[dict[str, Any]],
    place: tuple[str, str] | None,
    dollars: int | None,
) -> None:
    """1,000 tokens. The same sum is in the report, and a budget refuses what it cannot count."""
    run = run_of(tmp_path, *configs)
    job = a_job(None if place is None else Place(place[1], place[0]))
    found = cost_of(run, job)
    assert (found.dollars.batch or 0) == (dollars or 0)
    assert bool(found.unpriced) is (dollars is None)

    report = build_report(run, MANIFEST, {job.job_name: job}, totals_of(MANIFEST, []), {}, Ending())
    assert (report.cost or {}).get("batch", 0) == (dollars or 0)
    assert report.unpriced == [*found.unpriced]

    limited = replace(run, config=run.config.model_copy(update={"budget": BUDGET}))
    if run.prices.batch is None:
        return  # without a price of the targets of now, a budget is refused before
    budget = open_budget(limited, MANIFEST, MANIFEST.shards, 0.0, {job.job_name: job})
    assert budget is not None
    if dollars is None:
        with pytest.raises(ConfigError, match=r"a batch job asked before.*Set prices\.batch: "):
            budget.spent()
    else:
        assert budget.spent() == dollars


BUDGET = make_config(budget=1_000).budget


@pytest.mark.parametrize(
    ("configs", "asked", "dollars"),
    [
        ([{}], "cheap", 4),
        ([{"canary": {"model_id": "us.cheap"}}], "us.cheap", 6),
        # Another model since: a try keeps the price of its own.
        ([{"canary": {"model_id": "dear"}}, {}], "dear", 40),
        ([{"canary": {"model_id": "dear"}}, {"canary": {"model_id": "us.cheap"}}], "dear", 40),
        ([{"canary": {"model_id": "dear"}}, {"canary": {"model_id": "us.cheap"}}], "us.cheap", 6),
        ([with_model("dear"), {}], "dear", 40),
        # Whoever has an own price of batch jobs pays twice as much for single calls.
        ([own(9)], "cheap", 18),
        ([{"canary": {"model_id": "dear"}, **own(9)}, {}], "dear", 18),
        ([{"canary": {"model_id": "dear"}}, own(9)], "dear", 40),
        # Without a list price of single calls, they cost twice as much as batch jobs.
        ([with_model("batch-only")], "batch-only", 16),
        ([{"canary": {"model_id": "unheard-of"}}], "unheard-of", 4),
        ([{"canary": {"model_id": "unheard-of"}}, {}], "unheard-of", None),
        ([{"canary": {"model_id": "unheard-of"}}, own(9)], "unheard-of", 18),
    ],
)
def test_a_try_of_the_canary_costs_what_its_own_model_costs(
    tmp_path: Path, configs: list[dict[str, Any]], asked: str, dollars: int | None
) -> None:
    """1,000 tokens. A try without a known price is named, and a budget is refused."""
    run = run_of(tmp_path, *configs)
    found = cost_of(run, tries=(a_try(asked),))
    assert (found.dollars.canary or 0) == (dollars or 0)
    assert found.unpriced == (("canary",) if dollars is None else ())
    add_try(run.storage, a_try(asked))
    limited = replace(run, config=run.config.model_copy(update={"budget": BUDGET}))
    budget = open_budget(limited, MANIFEST, MANIFEST.shards, 0.0)
    assert budget is not None
    if dollars is None:
        with pytest.raises(ConfigError, match="the canary asked before"):
            budget.spent()
    else:
        assert budget.spent() == dollars


def test_jobs_of_several_targets_are_added_up_each_at_its_own_price(tmp_path: Path) -> None:
    """What is missing is named by model and Region; what batch jobs saved is by target, too."""
    run = run_of(tmp_path, BOTH)
    jobs = a_job(Place(HOME, "cheap")), a_job(Place(WEST, "dear"), 2)
    found = cost_of(run, *jobs)
    assert (found.dollars.batch, found.batch_on_demand) == (22, 44)
    by_name = {job.job_name: job for job in jobs}
    report = build_report(run, MANIFEST, by_name, totals_of(MANIFEST, []), {}, Ending())
    assert (report.saved or {})["by_batch"] == 22

    gone = run_of(tmp_path, with_targets(("cheap", HOME), ("online", WEST)), {})
    jobs = a_job(Place(HOME, "cheap")), a_job(Place(WEST, "online"), 2)
    found = cost_of(gone, *jobs)
    assert found.as_json() == {"batch": 2, "canary": 0, "total": 2}
    assert found.unpriced == ("batch jobs of online in us-west-2",)
    assert found.batch_on_demand is None


def test_an_image_costs_what_its_own_target_asks(tmp_path: Path) -> None:
    """Unless the user has a price of their own."""
    two = with_targets(("images", HOME), ("pictures", WEST), **with_model("images"))
    jobs = a_job(Place(HOME, "images"), images=4), a_job(Place(WEST, "pictures"), 2, images=4)
    assert cost_of(run_of(tmp_path, two), *jobs).dollars.batch == 2 + 1
    with_own = {**two, "prices": {"image": 2}}
    assert cost_of(run_of(tmp_path, with_own), *jobs).dollars.batch == 16


def test_a_budget_counts_each_job_with_the_price_of_its_target(tmp_path: Path) -> None:
    """The next one, too. Only a job without a target counts with the highest price."""
    run = run_of(tmp_path, {**BOTH, "budget": 1_000})
    # 1,000 bytes are 250 tokens, and 10 answers at most 400.
    active = a_job(Place(WEST, "dear"), status="InProgress", tokens=None)
    budget = open_budget(run, MANIFEST, MANIFEST.shards, 0.0)
    assert budget is not None
    jobs = KnownJobs([active])
    for model_id, region, dollars in (("cheap", HOME, "1.3"), ("dear", WEST, "13")):
        place = Place(region, model_id)
        plan = plan_job("r", SHARD.shard_id, "x", model_id, 9, prepare_id="p", place=place)
        budget.limit = 13 + Decimal(dollars)
        assert budget.allows(plan, 10, jobs) is None
        budget.limit -= Decimal("0.01")
        assert f"about ${Decimal(dollars):.2f}" in str(budget.allows(plan, 10, jobs))
    assert budget.check_estimate(MANIFEST) == 13


def test_the_prices_of_the_targets_are_shown(tmp_path: Path) -> None:
    prices = run_of(tmp_path, BOTH).prices
    assert dict(price_rows(prices))["prices"].startswith("batch at most $20000 in")
    assert prices_as_json(prices)["targets"] == [
        {"model_id": "cheap", "region": HOME, "batch": {"input": "2", "output": "2"}},
        {"model_id": "dear", "region": WEST, "batch": {"input": "20", "output": "20"}},
    ]
    assert dict(price_rows(run_of(tmp_path, {}).prices))["prices"].startswith("batch $2000 in")
