"""A preview in words: an answer, what it may cost, what it has cost, and what the whole will."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bedrock_spark.costs.tokens import paid_words, small_dollars
from bedrock_spark.preview.values import AnsweredRow, Estimate, Preview, Whole


def answer_text(row: AnsweredRow) -> str:
    """Return an answer as one text: what is wrong with it if it is not ok."""
    if row.reason is not None:
        reason = f"{row.error_code} {row.reason}" if row.error_code is not None else row.reason
        return f"{reason}: {row.text}" if row.text else reason
    if row.vector is not None:
        return f"a vector of {row.vector:,} numbers"
    if row.images:
        return "an image" if row.images == 1 else f"{row.images:,} images"
    return row.text or row.tool_input or ""


def shown(value: Any) -> str:
    """Return a value of a row or an answer as text."""
    if value is None:
        return ""
    is_json = isinstance(value, (bool, int, float, dict, list, tuple))
    return json.dumps(value, ensure_ascii=False, default=str) if is_json else str(value)


def estimate_line(estimate: Estimate, model_id: str) -> str:
    """Return what a preview may cost, in a sentence."""
    rows = "1 row" if estimate.rows == 1 else f"{estimate.rows:,} rows"
    asks = f"asks {model_id} about {rows}, {estimate.input_tokens:,} tokens in"
    if estimate.price is None and not estimate.high:
        return f"{asks}; the cost is not known"
    return f"{asks}: costs {estimate.words}"


def summary_rows(preview: Preview) -> Iterator[tuple[str, str]]:
    """Yield the lines below the table: what was paid, and what the whole will cost."""
    for each in preview.previews:
        if len(preview.previews) > 1:
            yield "config", f"{each.config}: {each.model_id}"
        yield "outcomes", ", ".join(f"{n:,} {name}" for name, n in each.outcomes.items())
        cost = "not known" if each.cost is None else small_dollars(each.cost)
        cost = cost if each.cost is None else paid_words(each.cost, each.unknown_calls)
        yield "paid", f"{cost}: {each.input_tokens:,} tokens in, {each.output_tokens:,} out"
        if each.whole is not None:
            yield "the whole", whole_line(each.whole)
        for note in each.notes:
            yield "note", note
    if preview.same is not None:
        pairs = zip(*(each.rows for each in preview.previews), strict=True)
        answered = sum(any(row.has_answer for row in rows) for rows in pairs)
        yield "same", f"{preview.same:,} of {answered:,} answered rows have the same answer by both"


def whole_line(whole: Whole) -> str:
    """Return what a run of the whole source would cost, in a sentence."""
    rows = f"{whole.records:,} rows"
    if whole.cost is None:
        return f"{rows}; the cost is not known"
    cost = whole.cost
    low = small_dollars(cost.low)
    interval = f"{low} or more" if cost.high is None else f"{low} to {small_dollars(cost.high)}"
    likely = "" if cost.likely is None else f"about {small_dollars(cost.likely)} "
    money = f"{likely}({interval})" if likely else interval
    out = whole.output_tokens
    answers = f"{out.likely:,}" if out.likely is not None else f"{out.low:,} or more"
    tokens_in = whole.input_tokens.likely or whole.input_tokens.low
    return f"{rows} would cost {money}: {tokens_in:,} tokens in, {answers} out"


def closing_sentence(preview: Preview) -> str:
    """Return how a preview ended, in a sentence."""
    asked = [row for each in preview.previews for row in each.rows if row.outcome != "rejected"]
    ok = sum(each.outcomes.get("ok", 0) for each in preview.previews)
    costs = [each.cost for each in preview.previews if each.cost is not None]
    unknown = sum(each.unknown_calls for each in preview.previews)
    paid = f", for {paid_words(sum(costs[1:], costs[0]), unknown)}" if costs else ""
    return f"{ok:,} of {len(asked):,} answers are ok{paid}"
