"""A comparison as tables of texts, which a terminal, a page and a notebook show alike."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bedrock_spark.comparing.values import (
    ComparedColumn,
    ComparedRun,
    Comparison,
    Estimate,
    GoldScore,
    Matching,
    Numbers,
    Share,
    ShownRow,
    ValuePair,
)
from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.pairs.plain_values import number_of
from bedrock_spark.pairs.sides import OUTCOMES

UNKNOWN = "not known"
NO_VALUE, OTHERS = "(no value)", "(others)"
# How many labels a matrix has; the others are added up.
_MOST_LABELS = 10
_INTERVAL = "95 % interval"
COST = "cost_usd"


@dataclass(frozen=True)
class TextTable:
    """A table. The first column names the row; all others are numbers, unless is_text."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    is_text: bool = False


def tables_of(found: Comparison) -> Iterator[TextTable]:
    """Yield the tables of a comparison, without its examples."""
    yield _runs(found)
    if found.matching is not None:
        yield _matching(found.matching, ("A", "B"))
    if found.outcomes:
        yield _outcomes(found)
    if found.columns:
        yield _answers(found.columns)
    numbers = [(c.name, c.numbers) for c in found.columns] + [
        (f"{m.name} a row", m.numbers) for m in found.measures
    ]
    measured = [(name, each) for name, each in numbers if each is not None]
    if measured:
        yield _numbers("Numbers", ("A", "B"), measured)
    for column in found.columns:
        is_shown = column.name in found.decided_by and column.equal.count < column.rows
        if column.values is not None and is_shown:
            yield matrix(f"{column.name}: A (rows) and B (columns)", column.values, column.others)
    for score in found.gold:
        yield from _gold(score)


def closing_sentence(found: Comparison) -> str:
    """Return what a comparison found, in a sentence."""
    parts = []
    if found.different is not None and found.matching is not None:
        if not found.matching.both:
            parts.append("no row of A has a row of B with the same key")
        else:
            same = found.different.of - found.different.count
            rows = "row" if found.different.of == 1 else "rows"
            *first, last = "outcome", *found.decided_by
            what = f"{', '.join(first)} and {last}"
            parts.append(f"{same:,} of {found.different.of:,} {rows} have the same {what}")
    for score in found.gold:
        if score.accuracy.of:
            parts.append(f"{score.run.upper()} has an accuracy of {percent(score.accuracy)}")
        else:
            parts.append(f"no true value has a row in {score.run.upper()}")
    return "; ".join(parts)


def percent(share: Share) -> str:
    """Return a share in percent; "" if it is of nothing."""
    return "" if share.share is None else f"{100 * share.share:.1f} %"


def shown_value(value: Any) -> str:
    """Return a value of a row as text."""
    if value is None:
        return NO_VALUE
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def shown_answer(row: ShownRow, name: str) -> str:
    """Return a value of a row; how the row ended if it is not ok and has none."""
    value = row.values.get(name)
    if value is None and row.outcome != "ok":
        return f"({row.outcome})"
    return shown_value(value)


def _runs(found: Comparison) -> TextTable:
    runs = [found.a] if found.b is None else [found.a, found.b]
    rows: list[tuple[str, ...]] = [
        ("run", *(run.run_uri for run in runs)),
        ("model", *(run.model_id for run in runs)),
        ("rows", *(f"{run.rows:,}" for run in runs)),
    ]
    for outcome in _in_order({name for run in runs for name in run.outcomes}):
        rows.append((f"  {outcome}", *(f"{run.outcomes.get(outcome, 0):,}" for run in runs)))
    for side in ("input", "output"):
        rows.append((f"{side} tokens", *(_tokens(run, side) for run in runs)))
    rows.append(("cost", *(_dollars(run.cost) for run in runs)))
    rows.append(("cost of 1,000 rows", *(_dollars(run.cost_per_1000_rows) for run in runs)))
    return TextTable("Runs", ("", *"AB"[: len(runs)]), tuple(rows), is_text=True)


def _tokens(run: ComparedRun, side: str) -> str:
    return f"{run.tokens[side]:,}" if side in run.tokens else UNKNOWN


def _dollars(amount: float | None) -> str:
    return UNKNOWN if amount is None else small_dollars(Decimal(str(amount)))


def _in_order(names: set[str]) -> list[str]:
    known = [name for name in OUTCOMES if name in names]
    return known + sorted(names - set(known))


_SET_ASIDE = {
    "repeated": "the key is repeated",
    "without_key": "without a key",
    "left_out": "left out",
}


def _matching(matching: Matching, names: tuple[str, str]) -> TextTable:
    rows: list[tuple[str, ...]] = [
        ("in both", *[f"{matching.both:,}"] * 2),
        ("only here", *(f"{count:,}" for count in matching.only)),
    ]
    for name, text in _SET_ASIDE.items():
        counts = getattr(matching, name)
        if any(counts):
            rows.append((text, *(f"{count:,}" for count in counts)))
    key = ", ".join(pair[0] if len(set(pair)) == 1 else "=".join(pair) for pair in matching.key)
    return TextTable("Rows", (f"by {key}", *names), tuple(rows))


def _outcomes(found: Comparison) -> TextTable:
    counts = {(each.a, each.b): each.rows for each in found.outcomes}
    before = _in_order({a for a, _ in counts})
    after = _in_order({b for _, b in counts})
    rows = tuple((a, *(f"{counts.get((a, b), 0):,}" for b in after)) for a in before)
    return TextTable("Outcomes: A (rows) and B (columns)", ("", *after), rows)


def _answers(columns: Sequence[ComparedColumn]) -> TextTable:
    has_kappa = any(column.kappa is not None for column in columns)
    head: tuple[str, ...] = ("", "ok in both", "equal", "", _INTERVAL, "normalised")
    rows: list[tuple[str, ...]] = []
    for column in columns:
        cells: tuple[str, ...] = (
            " = ".join(dict.fromkeys(column.names)) if len(column.names) > 1 else column.name,
            f"{column.rows:,}",
            f"{column.equal.count:,}",
            percent(column.equal),
            _interval(column.equal),
            f"{column.equal_normalised.count:,}",
        )
        rows.append((*cells, _estimate(column.kappa)) if has_kappa else cells)
    note = "normalised: without differences of case, white space, quotation marks and full stops"
    if has_kappa:
        head, note = (*head, "kappa"), f"{note}; kappa: Cohen's, agreement beyond chance"
    return TextTable("Answers", head, tuple(rows), note)


def _interval(share: Share) -> str:
    return "" if share.share is None else f"{100 * share.low:.1f} to {100 * share.high:.1f} %"


def _estimate(found: Estimate | None) -> str:
    return "" if found is None else f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _numbers(
    title: str, names: tuple[str, str], measured: Sequence[tuple[str, Numbers]]
) -> TextTable:
    means = (f"mean {name}" for name in names)
    head = ("", "rows", *means, "difference", "mean size", "median size", "largest")
    rows = tuple(
        (name, f"{each.pairs:,}", *(_number_of(name, getattr(each, part)) for part in _PARTS))
        for name, each in measured
    )
    note = f"difference: the mean of {names[1]} - {names[0]}; size: of the difference, without sign"
    return TextTable(title, head, rows, note)


_PARTS = (
    *("mean_first", "mean_second", "mean_difference"),
    *("mean_size", "median_size", "largest_size"),
)


def _number_of(name: str, value: float) -> str:
    if not name.startswith(COST):
        return _number(value)
    return f"{'-' if value < 0 else ''}{small_dollars(abs(Decimal(str(value))))}"


def _number(value: float) -> str:
    if value == 0 or 0.001 <= abs(value) < 1e9:
        text = f"{value:,.3f}".rstrip("0").rstrip(".")
        return "0" if text == "-0" else text
    return f"{value:.3g}"


def matrix(title: str, values: Sequence[ValuePair], others: int) -> TextTable:
    """Return pairs of labels as a matrix of the commonest labels."""
    totals: Counter[str | None] = Counter()
    for pair in values:
        totals[pair.first] += pair.rows
        totals[pair.second] += pair.rows
    named = [label for label, _ in totals.most_common(_MOST_LABELS) if label is not None]
    are_numbers = all(number_of(label) is not None for label in named)
    named.sort(key=lambda n: (number_of(n) or 0 if are_numbers else -totals[n], n))
    texts: dict[str | None, str] = {label: label for label in named}
    if None in totals:
        texts[None] = NO_VALUE
    counts: Counter[tuple[str, str]] = Counter()
    for pair in values:
        place = texts.get(pair.first, OTHERS), texts.get(pair.second, OTHERS)
        counts[place] += pair.rows
    labels = [*texts.values()]
    if any(OTHERS in place for place in counts):
        labels.append(OTHERS)
    before = [label for label in labels if any(a == label for a, _ in counts)]
    after = [label for label in labels if any(b == label for _, b in counts)]
    rows = tuple((a, *(f"{counts[a, b]:,}" for b in after)) for a in before)
    note = f"{others:,} rows with rare labels are not in the table" if others else ""
    return TextTable(title, ("", *after), rows, note)


def _gold(score: GoldScore) -> Iterator[TextTable]:
    name = score.run.upper()
    accuracy = score.accuracy
    shares = {"accuracy": accuracy, "normalised": score.accuracy_normalised}
    rows: list[tuple[str, ...]] = [
        *(
            (text, percent(share), _interval(share), f"{share.count:,} of {share.of:,}")
            for text, share in shares.items()
        ),
        ("answered", "", "", f"{score.answered:,} of {accuracy.of:,}"),
    ]
    if score.macro_f1 is not None:
        rows.append(("macro F1", f"{score.macro_f1:.3f}", "", ""))
    if score.kappa is not None:
        estimate = score.kappa
        interval = f"{estimate.low:.2f} to {estimate.high:.2f}"
        rows.append(("kappa", f"{estimate.value:.2f}", interval, ""))
    title = f"{name} against the true values of {score.column}"
    note = "a row that is not ok is wrong"
    only = score.matching.only[0]
    if only:
        note += f"; {only:,} true values have no row in {name}"
    yield TextTable(title, ("", "", _INTERVAL, "rows"), tuple(rows), note)
    if score.numbers is not None:
        yield _numbers(f"{name}: numbers", ("true", name), [(score.column, score.numbers)])
    if score.labels is not None:
        yield _labels(score, name)
    if score.values is not None:
        title = f"{name}: true label (rows) and answer (columns)"
        yield matrix(title, score.values, score.others)


def _labels(score: GoldScore, name: str) -> TextTable:
    head = ("", "rows", "answered", "precision", _INTERVAL, "recall", _INTERVAL, "F1")
    rows = tuple(
        (
            each.label,
            f"{each.rows:,}",
            f"{each.answered:,}",
            percent(each.precision),
            _interval(each.precision),
            percent(each.recall),
            _interval(each.recall),
            "" if each.f1 is None else f"{each.f1:.3f}",
        )
        for each in score.labels or []
    )
    return TextTable(f"{name}: labels", head, rows)
