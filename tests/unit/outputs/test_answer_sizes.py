"""Histograms of sizes, the notes of the fallback's calls, and which values are labels."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.outputs.fallback_times import FallbackTimes, note_of
from bedrock_spark.outputs.labels import LEAST_ROWS, LabelCounts
from bedrock_spark.outputs.lines import OutputRecord, answer_line, read_lines
from bedrock_spark.outputs.size_bins import LEAST, as_bins, counts_of


def test_the_bins_are_in_order_and_begin_at_zero() -> None:
    assert LEAST[:14] == (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150)
    assert all(a < b for a, b in pairwise(LEAST))


@given(st.dictionaries(st.sampled_from(LEAST).map(str), st.integers(1, 99)))
def test_a_list_of_bins_has_no_gap_and_all_counts(counts: dict[str, int]) -> None:
    bins = as_bins(counts)
    assert counts_of(bins) == counts
    assert all(a["most"] == b["least"] - 1 for a, b in pairwise(bins))


@pytest.mark.parametrize("tier", [None, "flex"])
def test_a_line_of_the_fallback_says_when_its_call_ended_and_how_long_it_took(
    tier: str | None,
) -> None:
    """The answer is read as before."""
    times = FallbackTimes()
    line = answer_line("a", b'{"p":1}', b'{"t":1}', tier, note_of("m", 3_600.9, 0.3456))
    times.add(line * 3 + answer_line("b", b"{}", b"{}", None, note_of("m", 3_660, 31)))
    assert (times.minutes, times.latency) == ({"60": 3, "61": 1}, {"300": 3, "30000": 1})
    expected = OutputRecord("a", b'{"t":1}', None)
    assert list(read_lines(line)) == [expected]


def test_a_note_inside_an_answer_or_a_prompt_is_not_one() -> None:
    """A model may write anything."""
    times = FallbackTimes()
    note = note_of("m", 3_600, 1)
    forged = b'{"t":1' + note + b"}"
    times.add(answer_line("a", forged, forged) + answer_line("b", b'"x%b}\\n"' % note, b"{}"))
    assert not times.minutes


def test_labels_are_added_up_and_rare_ones_are_not_named() -> None:
    """Of several shards; the commonest first."""
    counts = LabelCounts()
    counts.add({"label": {"a": 2, "b": 9}, "urgent": {"true": 4}})
    counts.add({"label": {"a": 1, "c": LEAST_ROWS - 1}})
    assert counts.as_json() == [
        {
            "column": "label",
            "values": [{"value": "b", "rows": 9}, {"value": "a", "rows": 3}],
            "others": 2,
        },
        {"column": "urgent", "values": [{"value": "true", "rows": 4}], "others": 0},
    ]


@pytest.mark.parametrize(
    "shards",
    [
        [{"x": None}, {"x": {"a": 9}}],
        [{"x": {"a": 9}}, {"x": None}],
        [{"x": {str(n): 9 for n in range(part * 25, part * 25 + 25)}} for part in range(9)],
        [{"x": {"a": 1, "b": 2}}],
        [{"x": {}}],
    ],
)
def test_a_column_of_other_texts_is_not_listed(shards: list[dict[str, Counter[str]]]) -> None:
    """One shard with too many values is enough, or many shards with different ones."""
    counts = LabelCounts()
    for shard in shards:
        counts.add(shard)
    assert counts.as_json() == []
