"""What the answers of some rows come to: outcomes, costs, the whole, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from bedrock_spark.outputs.outcomes import ERROR, MISSING
from bedrock_spark.preview.options import PreviewOptions
from bedrock_spark.preview.rows import PreviewRows
from bedrock_spark.preview.sides import Side
from bedrock_spark.preview.values import AnsweredRow, Estimate, Previewed, Whole
from bedrock_spark.preview.whole import whole_of
from bedrock_spark.schema import parse_ddl


def previewed(
    side: Side, estimated: Estimate | None, source: PreviewRows, options: PreviewOptions
) -> Previewed:
    rows = tuple(side.answered[number] for number in sorted(side.answered))
    paid = [row for row in rows if row.shares is None]
    costs = [row.cost for row in paid if row.cost is not None]
    is_asked = any(row.is_paid for row in rows)
    has_price = side.prices.of_canary is not None or side.prices.image is not None
    parse = side.config.results.parse
    whole = whole_of_side(side, source, paid) if options.has_whole else None
    return Previewed(
        config=side.name,
        model_id=side.model_id,
        columns=tuple(f.name for f in parse_ddl(parse.columns)) if parse is not None else (),
        estimate=estimated,
        rows=rows,
        outcomes=dict(Counter(row.outcome for row in rows).most_common()),
        input_tokens=sum(row.input_tokens or 0 for row in paid),
        output_tokens=sum(row.output_tokens or 0 for row in paid),
        # An answer of a model that counts no tokens is not free.
        cost=sum(costs, Decimal()) if has_price and (costs or not is_asked) else None,
        whole=whole,
        notes=tuple(notes_of(side, options, estimated, whole)),
    )


def whole_of_side(side: Side, source: PreviewRows, paid: Sequence[AnsweredRow]) -> Whole | None:
    """Return the whole; None if no row was answered."""
    asked = [
        (line.line_bytes, row)
        for row in paid
        if (line := side.rendered[row.number - 1].line) is not None
        and row.outcome not in (ERROR, MISSING)
    ]
    if not asked:
        return None
    size = source.size(side.config)
    return whole_of(side.config, size, asked, side.prices)


def notes_of(
    side: Side, options: PreviewOptions, estimated: Estimate | None, whole: Whole | None
) -> Iterator[str]:
    """Yield what the numbers of a preview leave out, and what they do not tell."""
    if estimated is None:
        return
    yield from (str(unknown) for unknown in side.prices.unknown)
    if side.prices.of_canary is None and side.prices.image is None:
        unknown_price = f"the on-demand price of {side.model_id} is not known"
        yield f"{unknown_price}: {options.limit_name} limits nothing"
    elif estimated.high is None:
        yield "request.max_tokens is not set, so nothing bounds the answers and their cost"
    if estimated.doubts and estimated.price is not None:
        yield (
            f"a call may cost more than was said before it, and so exceed {options.limit_name}: "
            f"{estimated.doubts}"
        )
    uncounted = sum(row.cost is None and row.is_paid for row in side.answered.values())
    if uncounted and estimated.price is not None:
        yield (
            f"{uncounted:,} calls do not say what they cost: they are not in the sum, and count "
            f"against {options.limit_name} as the most that they can cost"
        )
    least = side.config.shards.min_records
    if whole is not None and whole.records < least and side.config.fallback is None:
        yield (
            f"the source has fewer than {least:,} records (shards.min_records), and there is no "
            "fallback: a run would refuse it"
        )
    elif whole is not None:
        yield f"the whole is like {options.rows_name} only if its other rows are"
