"""What a run has used so far: tokens and images of its jobs and its canary.

What was not counted is estimated, never taken for nothing. A job may leave no output manifest (it
was stopped, or its output is lost), or one without counts. Then each record that it processed
counts with what a record is expected to use.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from typing import TypeAlias

from bedrock_spark.aws.batch_jobs import COMPLETED, PARTIALLY_COMPLETED
from bedrock_spark.aws.model_family import hides_family
from bedrock_spark.config import Config
from bedrock_spark.costs.tokens import (
    Expected,
    Sample,
    Tokens,
    expect,
    images_per_answer,
)
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import family_of
from bedrock_spark.prices import RunPrices
from bedrock_spark.prices.run_prices import PER_TOKENS
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import Shard

# Estimates what a number of records of a shard use; None is all of its records.
Estimate: TypeAlias = Callable[[str, int | None], Tokens]


def check_prices(config: Config, prices: RunPrices) -> None:
    """Raise ConfigError if a budget is set, and something that can be asked has no price.

    It has a line for each missing price.
    """
    missing = list(missing_prices(config, prices))
    if missing:
        raise ConfigError("\n".join(missing))


def missing_prices(config: Config, prices: RunPrices) -> Iterator[str]:
    """Yield what a budget needs and is not known. Each text begins with the key of the budget."""
    if config.budget.max_cost_usd is None:
        return
    fallback, hidden = config.fallback, hides_family(config.model)
    family = None if hidden else family_of(config)
    has_images = prices.image is not None if family is None else family.answers_images
    is_bought = fallback is not None and fallback.create is not None
    why = {each.key: f": {each.fact}" for each in prices.unknown}
    if family is not None and family.answers_images:
        if prices.image is None:
            yield (
                "budget.max_cost_usd needs prices.image, in dollars per image, because "
                f"{family.name} models answer with images"
            )
    elif prices.batch is None and not has_images:
        images = "; for a model that answers with images, prices.image" if family is None else ""
        yield f"budget.max_cost_usd needs prices.batch: {PER_TOKENS}{images}{why.get('batch', '')}"
    if is_bought and prices.model_unit_hour is None:
        yield (
            "budget.max_cost_usd needs prices.model_unit_hour, in dollars per model unit and "
            "hour, because fallback.create buys model units"
        )
    if fallback is not None and not is_bought and prices.fallback is None and not has_images:
        yield (
            f"budget.max_cost_usd needs prices.fallback: {PER_TOKENS}; without it, the "
            "fallback could spend any amount. For provisioned throughput that you pay for by "
            f"the hour anyway, set both to 0{why.get('fallback', '')}"
        )


def expected_of(config: Config, prices: RunPrices, tries: Sequence[Canary]) -> Expected:
    """Return what a record is expected to use, measured by the last try of the canary."""
    last = tries[-1] if tries else None
    images = images_per_answer(config.request) if prices.image is not None else 0
    if last is None or not last.answered:
        return expect(config.request, None, images)
    tokens = Tokens(last.input_tokens, last.output_tokens)
    return expect(config.request, Sample(last.answered, last.line_bytes, tokens), images)


def estimate_by(expected: Expected, shards: Collection[Shard]) -> Estimate:
    """Return an estimate by the sizes of shards. Records of an unknown shard use nothing."""
    # Most runs need no estimate: their jobs have output manifests.
    by_id = cache(lambda: {shard.shard_id: shard for shard in shards})

    def estimate(shard_id: str, records: int | None) -> Tokens:
        shard = by_id().get(shard_id)
        if shard is None or not shard.records:
            return Tokens()
        records = shard.records if records is None else records
        return expected.tokens(shard.bytes * records / shard.records, records)

    return estimate


def job_used(job: Job, estimate: Estimate) -> Tokens:
    """Return what one job used: counted, or estimated for the records that it processed."""
    counted = counted_use(job)
    if job.seen is None or not job.is_settled:
        return counted or Tokens()
    if counted is None:
        is_finished = job.seen.status in (COMPLETED, PARTIALLY_COMPLETED)
        all_records = job.records if is_finished else 0
        processed = job.seen.processed
        records = all_records if processed is None else processed
        longer = Tokens(output=job.longer if records != 0 else 0)
        return estimate(job.shard_id, records) + longer
    if job.images is None and job.seen.succeeded:
        # Tokens were counted, and images were not, though each of them is paid for.
        return counted + Tokens(images=estimate(job.shard_id, job.seen.succeeded).images)
    return counted


def counted_use(job: Job) -> Tokens | None:
    """Return what the output manifest counts; None if it counts nothing of what was answered."""
    if job.tokens is None and job.images is None:
        return None
    own = job.tokens
    tokens = Tokens(images=job.images or 0)
    if own is not None:
        tokens = Tokens(own.input, own.output, job.images or 0)
    has_answers = job.seen is not None and bool(job.seen.succeeded)
    return None if has_answers and tokens == Tokens() else tokens


def try_used(one: Canary, expected: Expected) -> Tokens:
    """Return what one try of the canary used: counted, or estimated for records without a count."""
    estimated = expected.tokens(one.line_bytes, one.answered)
    if one.input_tokens or one.output_tokens:
        answers = Tokens(one.input_tokens, one.output_tokens, estimated.images)
        return answers + Tokens(*one.probe_tokens)
    if not one.probes or not one.answered:
        return estimated
    return estimated + expected.tokens(one.line_bytes / one.answered * one.probes, one.probes)
