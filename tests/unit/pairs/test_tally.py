"""What is counted of pairs: the same as by the rules of `matching.py`, applied row by row."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.errors import ConfigError
from bedrock_spark.pairs import matching, tally
from bedrock_spark.pairs.compact import compact, place_of
from bedrock_spark.pairs.in_memory import tally_in_memory
from bedrock_spark.pairs.normal_text import normal_text
from bedrock_spark.pairs.sides import OUTCOMES, Column, Place, Side
from bedrock_spark.pairs.tally import Question, Tally

COLUMNS = (
    Column("text", ("text", "text", None)),
    Column("label", ("label", "label", "truth")),
    Column("score", ("score", "score", None), is_number=True),
    Column("tokens", ("tokens", "tokens", None), is_number=True, is_measure=True),
)
RUN_SCHEMA = pa.schema(
    [
        *(("id", pa.int64()), ("outcome", pa.string()), ("record_id", pa.string())),
        *(("text", pa.string()), ("label", pa.string())),
        *(("score", pa.float64()), ("tokens", pa.int64())),
    ]
)
GOLD_SCHEMA = pa.schema([("id", pa.string()), ("truth", pa.string())])
SIDES = (
    Side(Place.A, ("id",), COLUMNS, "outcome", "record_id"),
    Side(Place.B, ("id",), COLUMNS, "outcome", "record_id"),
    Side(Place.GOLD, ("id",), COLUMNS),
)
Row = dict[str, Any]

ids = st.one_of(st.none(), st.integers(0, 6))
texts = st.sampled_from(["yes", "Yes.", "no", "x" * 70, None])
run_rows = st.fixed_dictionaries(
    {
        "id": ids,
        "outcome": st.sampled_from(["ok", "ok", "ok", "truncated", "error", "rejected"]),
        "record_id": st.sampled_from(["r1", "r2", "r3"]),
        "text": texts,
        "label": st.sampled_from(["spam", "ham", "Ham", None]),
        "score": st.sampled_from([1.0, 2.5, None]),
        "tokens": st.sampled_from([10, 20, None]),
    }
)
gold_rows = st.fixed_dictionaries({"id": ids, "truth": st.sampled_from(["spam", "ham", None])})


def counted(
    runs: Sequence[Sequence[Row]], gold: Sequence[Row], *questions: Question, batch: int = 4
) -> list[Tally]:
    """Return what is counted of rows, which are handed over in batches."""
    batches = []
    of_gold = [{**row, "id": None if row["id"] is None else str(row["id"])} for row in gold]
    for side, rows in zip(SIDES, (*runs, of_gold), strict=True):
        schema = GOLD_SCHEMA if side.place is Place.GOLD else RUN_SCHEMA
        for first in range(0, len(rows), batch):
            made = pa.RecordBatch.from_pylist(list(rows[first : first + batch]), schema)
            batches.append(compact(made, side, 0, first))
    return tally_in_memory(batches, COLUMNS, questions)


def standing(rows: Sequence[Row]) -> tuple[dict[Any, Row], set[Any]]:
    """Return the row that stands for each key, and the keys that are ambiguous."""
    by_key = defaultdict(list)
    for row in rows:
        if row["id"] is not None:
            by_key[row["id"]].append(row)
    found, ambiguous = {}, set()
    for key, own in by_key.items():
        asked = [row for row in own if row.get("outcome") != "rejected"]
        same = {row.get("record_id", row.get("truth")) for row in asked}
        if len(same) == 1:
            found[key] = asked[0]
        elif not asked and len(own) == 1:
            found[key] = own[0]
        else:
            found[key] = own[0]
            ambiguous.add(key)
    return found, ambiguous


BOTH = Question(Place.A, Place.B, (0, 1, 2, 3), (1,), samples=1000)


@given(st.lists(run_rows, max_size=14), st.lists(run_rows, max_size=14))
def test_two_runs_are_counted_as_row_by_row(first: list[Row], second: list[Row]) -> None:
    found = counted((first, second), (), BOTH)[0]
    (a, no_a), (b, no_b) = standing(first), standing(second)
    pairs = [(a[k], b[k]) for k in a if k in b and k not in no_a | no_b]
    assert found.paired == len(pairs)
    assert found.outcomes == Counter(
        (OUTCOMES.index(x["outcome"]), OUTCOMES.index(y["outcome"])) for x, y in pairs
    )
    ok = [(x, y) for x, y in pairs if x["outcome"] == y["outcome"] == "ok"]
    assert found.both_ok == len(ok)
    for index, name in enumerate(("text", "label", "score")):
        values = [(x[name], y[name]) for x, y in ok if (x[name], y[name]) != (None, None)]
        own = found.columns.get(index, tally.ColumnTally())
        assert own.pairs == len(values)
        assert own.equal == sum(x == y for x, y in values)
        if name != "score":
            normal = [(x, y) for x, y in values if None not in (x, y)]
            assert own.normal_equal == sum(normal_text(x) == normal_text(y) for x, y in normal)
            is_long = any(len(v) > 60 for pair in values for v in pair if v is not None)
            assert own.labels == (None if is_long else Counter(values))
    numbers = found.columns.get(3, tally.ColumnTally()).numbers
    tokens = [(x["tokens"], y["tokens"]) for x, y in pairs]
    both = [pair for pair in tokens if None not in pair]
    assert (numbers.pairs, numbers.first) == (len(both), sum(x for x, _ in both))
    different = sum(
        x["outcome"] != y["outcome"] or (x["outcome"] == "ok" and x["label"] != y["label"])
        for x, y in pairs
    )
    assert found.different == len(found.samples) == different


@given(st.lists(run_rows, max_size=14), st.lists(run_rows, max_size=14), st.booleans())
def test_every_row_is_in_one_place(first: list[Row], second: list[Row], has_filter: bool) -> None:
    """The rows of a table are those of pairs, alone, repeated, without a key, and left out."""
    codes = frozenset({0, 2}) if has_filter else None
    question = Question(Place.A, Place.B, (0, 1, 2, 3), (1,), codes)
    found = counted((first, second), (), question)[0]
    for side, rows in enumerate((first, second)):
        assert len(rows) == found.paired + sum(
            each[side] for each in (found.only, found.repeated, found.without_key, found.left_out)
        )
    if has_filter:
        assert {before for before, _ in found.outcomes} <= {0, 2}


@given(st.lists(run_rows, max_size=10), st.lists(gold_rows, max_size=10))
def test_true_values_are_counted_as_row_by_row(rows: list[Row], gold: list[Row]) -> None:
    """A row that is not ok has no value, and counts as wrong."""
    question = Question(Place.GOLD, Place.A, (1,), (1,), samples=1000)
    found = counted((rows, ()), gold, question)[0]
    (truth, no_gold), (run, no_run) = standing(gold), standing(rows)
    pairs = [
        (truth[k]["truth"], run[k]["label"] if run[k]["outcome"] == "ok" else None)
        for k in truth
        if k in run and k not in no_gold | no_run and truth[k]["truth"] is not None
    ]
    own = found.columns.get(1, tally.ColumnTally())
    assert found.paired == own.pairs == len(pairs)
    assert own.labels == Counter(pairs)
    assert own.equal == sum(a == b for a, b in pairs)
    assert found.different == sum(a != b for a, b in pairs)
    assert Counter(sample.truth for sample in found.samples) == Counter(
        a for a, b in pairs if a != b
    )


@given(
    st.lists(run_rows, max_size=10),
    st.lists(run_rows, max_size=10),
    st.lists(gold_rows, max_size=10),
    st.sampled_from([Place.A, Place.B]),
)
def test_a_filter_of_outcomes_is_about_run_a_in_each_question(
    first: list[Row], second: list[Row], gold: list[Row], place: Place
) -> None:
    """Of both runs, only keys whose row in run A ended so meet their true values."""
    question = Question(Place.GOLD, place, (1,), (1,), frozenset({OUTCOMES.index("truncated")}))
    found = counted((first, second), gold, question)[0]
    (truth, no_gold), (a, no_a), (b, no_b) = map(standing, (gold, first, second))
    run, no_run = (a, no_a) if place is Place.A else (b, no_b)
    assert found.paired == sum(
        k in run and k in a and a[k]["outcome"] == "truncated" and truth[k]["truth"] is not None
        for k in truth
        if k not in no_gold | no_run
    )
    for side, rows in enumerate((gold, second if place is Place.B else first)):
        assert len(rows) == found.paired + sum(
            each[side] for each in (found.only, found.repeated, found.without_key, found.left_out)
        )


@given(st.lists(run_rows, max_size=20), st.lists(run_rows, max_size=20), st.integers(1, 5))
def test_the_pieces_of_a_table_do_not_count(
    first: list[Row], second: list[Row], batch: int
) -> None:
    """Batches of any size, paired a few rows at a time, have the same counts."""
    whole = counted((first, second), (), BOTH, batch=1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bedrock_spark.pairs.in_memory.CHUNK_ROWS", batch)
        patch.setattr(matching.whole_keys, "__defaults__", (batch,))
        assert counted((first, second), (), BOTH, batch=batch) == whole


def test_a_sample_has_the_places_of_its_rows() -> None:
    rows = [row(0, "spam"), row(1, "ham"), row(2, "spam")]
    others = [row(2, "ham"), row(0, "spam"), row(1, "spam")]
    found = counted((rows, others), (), BOTH)[0]
    places = {(place_of(s.first)[1], place_of(s.second)[1]) for s in found.samples}
    assert places == {(1, 2), (2, 0)}


def test_only_so_many_samples_are_kept() -> None:
    rows, others = ([row(i, label) for i in range(9)] for label in ("spam", "ham"))
    question = Question(Place.A, Place.B, (0, 1, 2, 3), (1,), samples=2)
    first, second = (counted((rows, others), (), question)[0] for _ in range(2))
    kept = first.samples
    assert len(kept) == 2
    first.merge(second, 2)
    assert first.samples == [kept[0], kept[0]]
    assert first.paired == 18


def test_too_many_labels_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST_LABELS", 3)
    few, many = ([row(i, f"l{i % n}") for i in range(9)] for n in (3, 4))
    assert counted((few, few), (), BOTH)[0].columns[1].labels is not None
    assert counted((many, many), (), BOTH)[0].columns[1].labels is None


def test_a_key_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one key are in memory together."""
    monkeypatch.setattr(matching, "MOST_OF_A_KEY", 5)
    monkeypatch.setattr(matching.whole_keys, "__defaults__", (4,))
    monkeypatch.setattr("bedrock_spark.pairs.in_memory.CHUNK_ROWS", 2)
    with pytest.raises(ConfigError, match="it is no key"):
        counted(([row(1, "a") for _ in range(9)], []), (), BOTH)


def row(number: int, label: str) -> Row:
    """Return a row that is ok."""
    own = {"id": number, "outcome": "ok", "record_id": f"r{number}", "text": label}
    return {**own, "label": label, "score": 1.0, "tokens": 1}
