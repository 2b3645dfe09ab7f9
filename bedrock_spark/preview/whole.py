"""Estimate what a run of the whole source would cost, from the answers of a preview."""

from __future__ import annotations

from collections.abc import Sequence

from bedrock_spark.config import Config
from bedrock_spark.costs.tokens import images_per_answer
from bedrock_spark.families import family_of
from bedrock_spark.planning.costs import Usage, cost_of_run
from bedrock_spark.planning.tokens import Counted, input_tokens, measured_output
from bedrock_spark.planning.values import Count
from bedrock_spark.preview.values import AnsweredRow, Whole
from bedrock_spark.prices import RunPrices
from bedrock_spark.shards.plan import SourceSize


def whole_of(
    config: Config,
    size: SourceSize,
    answered: Sequence[tuple[int, AnsweredRow]],
    prices: RunPrices,
) -> Whole:
    """Return tokens and cost of all records of a source.

    size: of the source, estimated
    answered: the bytes of each asked line, and its answer

    A source of fewer records than a batch job takes is asked online, at the fallback's price.
    """
    records = size.records
    counted = [(size, row.input_tokens) for size, row in answered if row.input_tokens]
    lengths = [row.output_tokens for _, row in answered if row.output_tokens is not None]
    pairs = Counted([b for b, _ in counted], [t for _, t in counted]) if counted else None
    tokens_in = input_tokens(records, size.line_bytes, pairs, None)
    if pairs is not None:
        tokens_in = tokens_in.model_copy(update={"how": f"{len(counted):,} rows of the preview"})
    has_vectors = any(row.vector is not None for _, row in answered)
    if has_vectors and not lengths:
        tokens_out = Count(low=0, likely=0, high=0, how="vectors have no tokens")
    else:
        tokens_out = measured_output(records, lengths, config.request)
    images = images_per_answer(config.request) * records
    is_online = records < config.shards.min_records
    usage = Usage(
        records=records,
        input=tokens_in,
        output=tokens_out,
        images=images if family_of(config).answers_images else 0,
        online_bytes=float(is_online),
        online_records=records if is_online else 0,
        tries=0 if is_online else min(config.canary.records, records),
    )
    return Whole(
        records=records,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        images=usage.images,
        cost=cost_of_run(usage, prices),
    )
