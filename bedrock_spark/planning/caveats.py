"""What a person should know before a run: one sentence each, with its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from bedrock_spark.config import Config
from bedrock_spark.costs.tokens import Tokens, dollars, max_answer_tokens
from bedrock_spark.planning.values import Count, Money, PlannedSource
from bedrock_spark.prices import RunPrices

# The part of the input from which it is worth a sentence.
_LARGE_PART = 0.5
_REJECTED_PART = 0.01


def caveats_of(
    config: Config,
    source: PlannedSource,
    online: int,
    same_tokens: int,
    tokens: tuple[Count, Count],
    prices: RunPrices,
    cost: Money | None,
) -> Iterator[str]:
    """Yield what makes a run dearer, slower or less complete than it looks.

    online: the records in shards that are too small for a batch job
    same_tokens: the input tokens that are the same in every record; tokens: input, output
    """
    counted, answers = tokens
    yield from _about_rows(config, source, online)
    yield from _about_prompt(counted, same_tokens, source.records, prices)
    if config.request.thinking is not None:
        yield (
            "thinking is on: its tokens are output tokens, and answers may be as long as the "
            "limit; no estimate knows how much a model thinks"
        )
    longest = max_answer_tokens(config.request)
    if longest is None:
        yield "request.max_tokens is not set, so nothing bounds the answers and their cost"
    if answers.likely is None:
        yield (
            "the length of answers is not known, so the cost is between the shortest and the "
            "longest answers; --output-tokens says the mean, and the canary of a run measures it"
        )
    yield from _about_money(config, prices, cost)


def _about_rows(config: Config, source: PlannedSource, online: int) -> Iterator[str]:
    if source.rejected > _REJECTED_PART * source.rows:
        share = source.rejected / source.rows
        of_all = f"{source.rejected:,} of {source.rows:,} rows ({share:.0%})"
        yield f"{of_all} are rejected, and not asked"
    if online and config.fallback is not None:
        yield (
            f"{online:,} records are in shards below shards.min_records "
            f"({config.shards.min_records:,}): {config.fallback.model_id} is asked for them one by "
            "one, at its own price"
        )


def _about_prompt(
    counted: Count, same_tokens: int, records: int, prices: RunPrices
) -> Iterator[str]:
    repeated = same_tokens * records
    if not counted.likely or records < 2 or repeated < _LARGE_PART * counted.likely:
        return
    price = Tokens(input=repeated).cost(prices.batch) if prices.batch is not None else Decimal()
    money = f", for {dollars(price)}" if price else ""
    share = min(1.0, repeated / counted.likely)
    yield (
        f"about {same_tokens:,} tokens of the same prompt are repeated {records:,} times{money}: "
        f"{share:.0%} of the input. A shorter prompt, or several rows in one request, costs less"
    )


def _about_money(config: Config, prices: RunPrices, cost: Money | None) -> Iterator[str]:
    yield from (str(unknown) for unknown in prices.unknown)
    yield from prices.notes
    limit = config.budget.max_cost_usd
    if limit is None or cost is None:
        return
    named = f"budget.max_cost_usd {dollars(limit)}"
    if cost.low > limit:
        yield f"the run costs more than {named} in any case: it ends before it asks all records"
    elif cost.high is None or cost.high > limit:
        yield f"the run may cost more than {named}: then it ends before it asks all records"
