"""Make of counts what a comparison shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bedrock_spark.comparing.plan import ComparisonPlan, RunTable
from bedrock_spark.comparing.values import (
    ComparedColumn,
    ComparedRun,
    Estimate,
    GoldScore,
    LabelScore,
    Matching,
    Measure,
    Numbers,
    Share,
    Transition,
    ValuePair,
)
from bedrock_spark.pairs.sides import OUTCOMES, Column
from bedrock_spark.pairs.statistics import kappa, wilson
from bedrock_spark.pairs.sums import NumberSums
from bedrock_spark.pairs.tally import ColumnTally, Labels, Tally
from bedrock_spark.run_folder.report_file import read_report, whole_cost

# A label that fewer rows have is not named, as in reports: it may be somebody's answer.
LEAST_ROWS = 3
# A column with more different numbers holds measurements, not labels.
_MOST_NUMBERS = 20
# How many pairs of labels are listed.
_MOST_PAIRS = 400
_OTHER = "other"


def share_of(count: int, of: int) -> Share:
    """Return a share with its interval."""
    low, high = wilson(count, of)
    return Share(count, of, count / of if of else None, low, high)


def run_of(table: RunTable) -> ComparedRun:
    """Return a run as a whole, by its report."""
    run = table.run
    report = read_report(run.storage, run.run_id) or {}
    cost = whole_cost(report)
    rows = table.manifest.rows
    return ComparedRun(
        run_uri=table.uri,
        run_id=run.run_id,
        model_id=run.config.model.id,
        rows=rows,
        outcomes={k: v for k, v in (report.get("outcomes") or {}).items() if v},
        tokens={k: v for k, v in (report.get("tokens") or {}).items() if k in ("input", "output")},
        cost=cost,
        cost_per_1000_rows=1000 * cost / rows if cost is not None and rows else None,
    )


def matching_of(counted: Tally, plan: ComparisonPlan, which: int) -> Matching:
    """Return how rows were paired for the question with this number."""
    question = plan.questions[which]
    sides = {side.place: side for side in plan.sides}
    pair = sides[question.first], sides[question.second]
    names = zip(*(side.key for side in pair), strict=True)
    return Matching(
        [list(each) for each in names],
        counted.paired,
        counted.only,
        counted.repeated,
        counted.without_key,
        counted.left_out,
    )


def transitions_of(counted: Tally) -> list[Transition]:
    """Return the pairs by both outcomes, in the order of outcomes."""
    return [
        Transition(_name(a), _name(b), rows) for (a, b), rows in sorted(counted.outcomes.items())
    ]


def _name(code: int) -> str:
    return OUTCOMES[code] if code < len(OUTCOMES) else _OTHER


def columns_of(counted: Tally, plan: ComparisonPlan, *, names_all: bool) -> list[ComparedColumn]:
    """Return the compared columns that have any value. names_all: rare labels, too."""
    return [
        _column(plan, index, counted.columns[index], names_all)
        for index in sorted(counted.columns)
        if not plan.columns[index].is_measure and counted.columns[index].pairs
    ]


def measures_of(counted: Tally, plan: ComparisonPlan) -> list[Measure]:
    """Return the tokens and the like, as far as rows have them."""
    found = []
    for index in sorted(counted.columns):
        numbers = _numbers(counted.columns[index].numbers)
        if plan.columns[index].is_measure and numbers is not None:
            found.append(Measure(plan.columns[index].name, numbers))
    return found


def _column(
    plan: ComparisonPlan, index: int, counted: ColumnTally, names_all: bool
) -> ComparedColumn:
    column = plan.columns[index]
    labels = _labels_of(column, counted)
    values, others = _values(labels, names_all)
    return ComparedColumn(
        name=column.name,
        names=[name for name in column.names[:2] if name is not None],
        rows=counted.pairs,
        both=counted.both,
        equal=share_of(counted.equal, counted.pairs),
        equal_normalised=share_of(counted.normal_equal, counted.pairs),
        kappa=_kappa(labels),
        numbers=_numbers(counted.numbers),
        values=values,
        others=others,
    )


def _labels_of(column: Column, counted: ColumnTally) -> Labels | None:
    """Return the pairs of labels; None if the column holds none.

    It holds labels if it has few different values (`MOST_LABELS`), and at most half as many as
    rows: of texts that all differ, agreement by chance says nothing. Numbers are labels if there
    are very few, such as the stars of a review.
    """
    labels = counted.labels
    if labels is None:
        return None
    different = {label for pair in labels for label in pair if label is not None}
    most = _MOST_NUMBERS if column.is_number else len(different)
    return labels if len(different) <= min(most, max(2, counted.pairs // 2)) else None


def _kappa(labels: Labels | None) -> Estimate | None:
    found = None if labels is None else kappa(labels)
    return None if found is None else Estimate(*found)


def _numbers(sums: NumberSums) -> Numbers | None:
    median = sums.sizes.median()
    if median is None:
        return None
    pairs = sums.pairs
    means = sums.first / pairs, sums.second / pairs
    return Numbers(
        pairs,
        *means,
        (sums.second - sums.first) / pairs,
        sums.absolute / pairs,
        median,
        sums.largest,
    )


def _values(labels: Labels | None, names_all: bool) -> tuple[list[ValuePair] | None, int]:
    """Return the pairs of labels, the commonest first, and the rows with another pair."""
    if labels is None:
        return None, 0
    named = _named(labels, names_all)
    ordered = sorted(labels.items(), key=lambda item: (-item[1], _order(item[0])))
    pairs = [
        ValuePair(first, second, rows)
        for (first, second), rows in ordered
        if first in named and second in named
    ][:_MOST_PAIRS]
    return pairs, sum(labels.values()) - sum(pair.rows for pair in pairs)


def _order(pair: tuple[str | None, str | None]) -> tuple[tuple[bool, str], ...]:
    return tuple((label is None, label or "") for label in pair)


def _named(labels: Labels, names_all: bool) -> set[str | None]:
    """Return the labels that may be shown."""
    rows: Counter[str | None] = Counter()
    for (first, second), count in labels.items():
        for label in {first, second}:
            rows[label] += count
    return {
        label for label, count in rows.items() if names_all or label is None or count >= LEAST_ROWS
    }


def gold_score(counted: Tally, plan: ComparisonPlan, which: int, *, names_all: bool) -> GoldScore:
    """Return how a run does against the true values. which: the number of the question."""
    question = plan.questions[which]
    index = question.columns[0]
    column, found = plan.columns[index], counted.columns.get(index, ColumnTally())
    labels = _labels_of(column, found)
    values, others = _values(labels, names_all)
    scores = None if labels is None else label_scores(labels)
    f1s = [score.f1 or 0.0 for score in scores or [] if score.rows]
    named = set() if labels is None else _named(labels, names_all)
    return GoldScore(
        run="ab"[question.second],
        column=column.names[question.second] or column.name,
        matching=matching_of(counted, plan, which),
        accuracy=share_of(found.equal, counted.paired),
        accuracy_normalised=share_of(found.normal_equal, counted.paired),
        answered=found.both,
        labels=None if scores is None else [each for each in scores if each.label in named],
        macro_f1=sum(f1s) / len(f1s) if f1s else None,
        kappa=_kappa(labels),
        numbers=_numbers(found.numbers),
        values=values,
        others=others,
    )


def label_scores(labels: Labels) -> list[LabelScore]:
    """Return the score of each label, the commonest true one first."""
    rows: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    correct: Counter[str] = Counter()
    for (truth, answer), count in labels.items():
        if truth is not None:
            rows[truth] += count
        if answer is not None:
            answered[answer] += count
        if truth is not None and truth == answer:
            correct[truth] += count
    ordered: Sequence[str] = sorted(rows.keys() | answered.keys(), key=lambda n: (-rows[n], n))
    return [
        LabelScore(
            label,
            rows[label],
            answered[label],
            correct[label],
            share_of(correct[label], answered[label]),
            share_of(correct[label], rows[label]),
            2 * correct[label] / (rows[label] + answered[label]),
        )
        for label in ordered
    ]
