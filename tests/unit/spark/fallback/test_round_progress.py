"""The progress of a round of the fallback: records, tokens a minute, money."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from bedrock_spark.config import FallbackConfig
from bedrock_spark.costs.call_use import CallUse
from bedrock_spark.costs.fallback_cost import cost_with_fallback
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.monitoring.samples import samples_of_progress
from bedrock_spark.progress import CallCounts, Progress
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.screen import ProgressLines
from bedrock_spark.spark.fallback.round_progress import RoundProgress
from tests.unit.fakes import FakeClock, make_config

PRICES = {
    "batch": {"input": 0.5, "output": 1.0},
    "fallback": {"input": 1.0, "output": 2.0},
    "flex": {"input": 0.5, "output": 1.0},
}


def progress_of(clock: FakeClock, seen: list[Progress], **limits: int) -> RoundProgress:
    config = FallbackConfig(model_id="m", **limits)
    return RoundProgress(
        *(1_000, config, seen.append, clock),
        cost=lambda tokens, flex: Decimal(tokens.input) / 1_000,
        budget=Decimal(5),
    )


def test_tokens_of_the_last_minute_are_shown_beside_the_limit(clock: FakeClock) -> None:
    seen: list[Progress] = []
    progress = progress_of(clock, seen, tokens_per_minute=20_000)
    for second in range(0, 301, 5):
        # The first minute is slow.
        quota = 100 * second if second <= 60 else 6_000 + 300 * (second - 60)
        progress.report(CallUse(second * 2, quota, Tokens(quota // 2, quota // 4)))
        clock.sleep(5)
    last = seen[-1]
    assert (last.done, last.total) == (600, 1_000)
    assert last.calls == CallCounts(
        *(39_000, 19_500, 18_000, 20_000, 120, None),
        cost_usd=39.0,
        budget_usd=5.0,
    )
    lines: list[str] = []
    ProgressLines(lines.append).observe(last, clock.now())
    assert lines[0].endswith("18,000 of 20,000 tokens/min; $39.00 of $5.00 spent")
    samples = {sample.name: sample.value for sample in samples_of_progress(last)}
    assert samples["fallback_tokens_per_minute"] == 18_000
    assert samples["fallback_token_limit"] == 20_000
    assert "shards" not in samples, "the batch jobs keep their own numbers"


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({}, "6,000 tokens/min; $3.00 of $5.00 spent"),
        ({"requests_per_minute": 90}, "6,000 tokens/min, 60 of 90 calls/min; $3.00 of"),
        (
            {"requests_per_minute": 90, "tokens_per_minute": 7_000},
            "6,000 of 7,000 tokens/min, 60 of 90 calls/min; $3.00 of",
        ),
    ],
)
def test_only_limits_that_there_are(clock: FakeClock, limits: dict[str, int], text: str) -> None:
    seen: list[Progress] = []
    progress = progress_of(clock, seen, **limits)
    progress.report(CallUse())
    clock.sleep(60)
    progress.report(CallUse(60, 6_000, Tokens(3_000)))
    lines: list[str] = []
    ProgressLines(lines.append).observe(seen[-1], clock.now())
    assert text in lines[0]


def test_the_end_has_all_records_and_the_larger_count(clock: FakeClock) -> None:
    """Heartbeats also know attempts that died; results also know the last seconds."""
    for beats, results, tokens in ((500, 400, 5), (400, 500, 6)):
        seen: list[Progress] = []
        progress = progress_of(clock, seen)
        progress.report(CallUse(900, beats, Tokens(5)))
        progress.end(CallUse(1_000, results, Tokens(6)))
        assert seen[-1].is_done
        assert seen[-1].calls is not None
        assert seen[-1].calls.input_tokens == tokens


def test_the_cost_is_that_of_the_run_so_far(tmp_path: Path, clock: FakeClock) -> None:
    """Earlier rounds count, and what the flex tier gave costs less. Without a price: not known."""
    fallback = {"model_id": "m"}
    manifest = RunManifest("r", 50, "a INT", (Shard("s", 50, 5_000, "0"),), ())
    run = open_run(make_config(str(tmp_path), prices=PRICES, fallback=fallback), clock)
    earlier = [[ModelUse("m", "flex", 3, {"input": 1000, "output": 500})]]
    cost = cost_with_fallback(run, manifest, clock, {}, earlier)
    assert cost(Tokens(), Tokens()) == Decimal(1)
    assert cost(Tokens(1_000, 500), Tokens()) == Decimal(3)
    assert cost(Tokens(1_000, 500), Tokens(1_000, 500)) == Decimal(2)
    foreign = [*earlier, [ModelUse("earlier-model", "standard", 3, {"input": 1})]]
    assert cost_with_fallback(run, manifest, clock, {}, foreign)(Tokens(), Tokens()) is None
    unpriced = open_run(make_config(str(tmp_path), fallback=fallback), clock)
    assert cost_with_fallback(unpriced, manifest, clock, {}, [])(Tokens(1), Tokens()) is None
