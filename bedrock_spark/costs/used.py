"""What a run has used so far: tokens and images of its jobs, its fallback and its canary.

What was not counted is estimated, never taken for nothing. A job may leave no output manifest (it
was stopped, or its output is lost), or one without counts. Then each record that it processed
counts with what a record is expected to use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from bedrock_spark.aws.batch_jobs import COMPLETED, PARTIALLY_COMPLETED
from bedrock_spark.config import Config
from bedrock_spark.costs.tokens import (
    Expected,
    Sample,
    Tokens,
    expect,
    images_per_answer,
    total,
)
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import family_of
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest, Shard

# Estimates what a number of records of a shard use; None is all of its records.
Estimate: TypeAlias = Callable[[str, int | None], Tokens]


def check_prices(config: Config) -> None:
    """Raise ConfigError if a budget is set, and the model's answers have no price.

    The config checks the other prices itself. Only the model's family tells if answers are images.
    """
    if config.budget.max_cost_usd is None:
        return
    family, prices, fallback = family_of(config), config.prices, config.fallback
    answers, per_tokens = f"{family.name} models answer with", "{input: …, output: …}"
    if family.answers_images:
        missing = "prices.image, in dollars per image" if prices.image is None else None
        answers += " images"
    else:
        is_unpaid = fallback is not None and fallback.create is None and prices.fallback is None
        key = "batch" if prices.batch is None else "fallback" if is_unpaid else None
        missing = key and f"prices.{key}: {per_tokens}, in dollars per 1,000 tokens"
        answers += " text"
    if missing:
        raise ConfigError(f"budget.max_cost_usd needs {missing}, because {answers}")


def expected_of(config: Config, tries: Sequence[Canary]) -> Expected:
    """Return what a record is expected to use, measured by the last try of the canary."""
    last = tries[-1] if tries else None
    images = images_per_answer(config.request) if config.prices.image is not None else 0
    if last is None or not last.answered:
        return expect(config.request, None, images)
    tokens = Tokens(last.input_tokens, last.output_tokens)
    return expect(config.request, Sample(last.answered, last.line_bytes, tokens), images)


def estimate_by(expected: Expected, shards: Iterable[Shard]) -> Estimate:
    """Return an estimate by the sizes of shards. Records of an unknown shard use nothing."""
    by_id = {shard.shard_id: shard for shard in shards}

    def estimate(shard_id: str, records: int | None) -> Tokens:
        shard = by_id.get(shard_id)
        if shard is None or not shard.records:
            return Tokens()
        records = shard.records if records is None else records
        return expected.tokens(shard.bytes * records / shard.records, records)

    return estimate


def batch_used(jobs: Iterable[Job], estimate: Estimate) -> Tokens:
    """Return what settled jobs used, and other jobs as far as it was counted."""
    return total(job_used(job, estimate) for job in jobs)


def job_used(job: Job, estimate: Estimate) -> Tokens:
    """Return what one job used: counted, or estimated for the records that it processed."""
    counted = counted_use(job)
    if job.seen is None or not job.is_settled:
        return counted or Tokens()
    if counted is None:
        is_finished = job.seen.status in (COMPLETED, PARTIALLY_COMPLETED)
        all_records = job.records if is_finished else 0
        processed = job.seen.processed
        return estimate(job.shard_id, all_records if processed is None else processed)
    if job.images is None and job.seen.succeeded:
        # Tokens were counted, and images were not, though each of them is paid for.
        return counted + Tokens(images=estimate(job.shard_id, job.seen.succeeded).images)
    return counted


def counted_use(job: Job) -> Tokens | None:
    """Return what the output manifest counts; None if it counts nothing of what was answered."""
    if job.tokens is None and job.images is None:
        return None
    tokens = Tokens(*(job.tokens or (0, 0)), job.images or 0)
    has_answers = job.seen is not None and bool(job.seen.succeeded)
    return None if has_answers and tokens == Tokens() else tokens


def canary_used(tries: Iterable[Canary], expected: Expected) -> Tokens:
    """Return what all tries of the canary used."""
    return total(_try_used(each, expected) for each in tries)


def _try_used(one: Canary, expected: Expected) -> Tokens:
    estimated = expected.tokens(one.line_bytes, one.answered)
    if not one.input_tokens and not one.output_tokens:
        return estimated
    return Tokens(one.input_tokens, one.output_tokens, estimated.images)


def fallback_used(
    counts: Iterable[Mapping[str, int]], expected: Expected, manifest: RunManifest
) -> Tokens:
    """Return what the fallback used.

    counts: `fallback_tokens` of every collected shard
    """
    inputs = outputs = images = uncounted = 0
    for count in counts:
        inputs += count.get("input", 0)
        outputs += count.get("output", 0)
        images += count.get("images", 0)
        uncounted += count.get("uncounted", 0)
    line_bytes = sum(s.bytes for s in manifest.shards) / max(1, manifest.records) * uncounted
    return Tokens(inputs, outputs, images) + expected.tokens(line_bytes, uncounted)
