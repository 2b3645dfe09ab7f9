"""What a comparison found, as `--json` prints it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Share:
    """A part of some rows. low, high: its 95 % interval, by Wilson's score."""

    count: int
    of: int
    share: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ComparedRun:
    """A run as a whole. From its report: null or empty if it has none.

    rows: of the source; outcomes: all its rows; tokens: `input` and `output` of the answers
    cost: dollars; cost_per_1000_rows: of that
    """

    run_uri: str
    run_id: str
    model_id: str
    rows: int
    outcomes: dict[str, int]
    tokens: dict[str, int]
    cost: float | None
    cost_per_1000_rows: float | None


@dataclass(frozen=True)
class Matching:
    """How the rows of two tables were paired. Lists have a number for each table.

    key: the columns, by their names in the tables
    both: keys that both tables have; only: rows that one table alone has
    repeated: rows that do not count because another row of the table has the key; all rows of a key
        if it is not clear which one counts
    without_key: rows with a null in the key; left_out: rows by their outcome, or without a true
        value
    Of each table, its rows, or those that `where` has chosen, are both + only + repeated +
    without_key + left_out.
    """

    key: list[list[str]]
    both: int
    only: list[int]
    repeated: list[int]
    without_key: list[int]
    left_out: list[int]


@dataclass(frozen=True)
class Transition:
    """The rows that ended in one way in run A and in one way in run B."""

    a: str
    b: str
    rows: int


@dataclass(frozen=True)
class Numbers:
    """Pairs of numbers: their means, and what second - first is.

    mean_size, median_size, largest_size: of the difference without its sign. The median is exact
    up to 5,000 different sizes, else right within 0.5 %
    """

    pairs: int
    mean_first: float
    mean_second: float
    mean_difference: float
    mean_size: float
    median_size: float
    largest_size: float


@dataclass(frozen=True)
class ValuePair:
    """A value in the first and in the second table, and the rows that have them.

    null: no value, which an answer that is not ok has, too
    """

    first: str | None
    second: str | None
    rows: int


@dataclass(frozen=True)
class ComparedColumn:
    """A column of the rows that are ok in both runs.

    names: in run A and in run B
    rows: in which at least one run has a value; both: in which both have one
    equal: with the same value; equal_normalised: without differences of case, white space, quotes
        and punctuation at the end
    kappa: agreement beyond chance; null if the column holds no labels, or one label only
    values: the commonest pairs of labels; null if it holds none. others: rows with another pair
    """

    name: str
    names: list[str]
    rows: int
    both: int
    equal: Share
    equal_normalised: Share
    kappa: Estimate | None
    numbers: Numbers | None
    values: list[ValuePair] | None
    others: int


@dataclass(frozen=True)
class Measure:
    """Numbers of the rows that both runs have, such as tokens, also of those that are not ok."""

    name: str
    numbers: Numbers


@dataclass(frozen=True)
class LabelScore:
    """A label against the true values.

    rows: with this true label; answered: rows in which it is the answer; correct: both
    precision: correct of answered; recall: correct of rows; f1: their harmonic mean
    """

    label: str
    rows: int
    answered: int
    correct: int
    precision: Share
    recall: Share
    f1: float | None


@dataclass(frozen=True)
class GoldScore:
    """A run against the true values.

    run: `a` or `b`; column: of the run
    matching: of the true values (first) and the run (second)
    accuracy: correct answers of all paired rows: a row that is not ok, or has no value, is wrong
    accuracy_normalised: the same for normalised texts; answered: rows with a value
    labels: the score of each label; null if the column holds none
    macro_f1: the mean F1 of the true labels; kappa: agreement with the true labels beyond chance
    values: the confusion matrix, the commonest pairs of true label and answer. others: rows with
        another pair
    """

    run: str
    column: str
    matching: Matching
    accuracy: Share
    accuracy_normalised: Share
    answered: int
    labels: list[LabelScore] | None
    macro_f1: float | None
    kappa: Estimate | None
    numbers: Numbers | None
    values: list[ValuePair] | None
    others: int


@dataclass(frozen=True)
class ShownRow:
    """A row of a run: how it ended, its values of the columns, and the error if there is one.

    record_id: null if the row was rejected
    """

    outcome: str | None
    values: dict[str, Any]
    error_message: str | None
    record_id: str | None = None


@dataclass(frozen=True)
class Example:
    """A row that differs. key: by its names in run A; truth: its true value if that was asked for.

    a, b: the row in each run; null if the run is not compared
    """

    key: dict[str, Any]
    a: ShownRow | None
    b: ShownRow | None
    truth: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side, or one run beside true values: then what needs two runs is null.

    engine: `memory` or `spark`
    different: of the paired rows, those that differ in the outcome or in an answer: in the columns
        of `decided_by`
    examples: some rows that differ, if they were asked for
    notes: what a reader should know
    """

    engine: str
    a: ComparedRun
    b: ComparedRun | None
    matching: Matching | None
    both_ok: int | None
    different: Share | None
    decided_by: list[str]
    outcomes: list[Transition]
    columns: list[ComparedColumn]
    measures: list[Measure]
    gold: list[GoldScore]
    examples: list[Example]
    notes: list[str] = field(default_factory=list)

    def _repr_html_(self) -> str:
        """Return the comparison as tables, for a notebook."""
        from bedrock_spark.comparing.page import fragment_html

        return fragment_html(self)
