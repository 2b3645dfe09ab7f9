"""Collect counts how long answers are, which labels they have, and when the fallback answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.outputs.fallback_times import note_of
from bedrock_spark.outputs.labels import LONGEST_LABEL, MOST_LABELS
from bedrock_spark.outputs.lines import answer_line
from bedrock_spark.run_folder import layout
from tests.unit.collect_shard import LINES_KEY, SHARD, collect_shard

COLUMNS = "label string, urgent boolean, score double, summary string"


def output(tokens: int | None, **columns: Any) -> bytes:
    usage = {} if tokens is None else {"usage": {"input_tokens": 9, "output_tokens": tokens}}
    text = json.dumps(columns)
    answer = {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn", **usage}
    return json.dumps(answer).encode()


def columns(number: int, **other: Any) -> dict[str, Any]:
    own = {"label": "bug" if number % 2 else "praise", "urgent": number < 3, "score": 0.5}
    return {**own, "summary": f"text {number}", **other}


def test_lengths_and_labels_are_counted_by_row(tmp_path: Path) -> None:
    """A record that several rows share counts for each; an answer without tokens has no length."""
    ids = [str(n) for n in range(40)] + ["39"] * 5
    lines = b"".join(
        answer_line(str(n), b"{}", output(None if n == 0 else 10 + n, **columns(n)))
        for n in range(40)
    )
    files = {LINES_KEY: lines}
    reconciled, rows = collect_shard(str(tmp_path), ids, files, parse={"columns": COLUMNS})
    assert [row["outcome"] for row in rows] == ["ok"] * 45
    assert reconciled.lengths == {"10": 4, "15": 5, "20": 10, "30": 25}
    assert reconciled.labels == {
        "label": {"praise": 20, "bug": 25},
        "urgent": {"true": 3, "false": 42},
        "summary": None,
    }


@pytest.mark.parametrize("values", [MOST_LABELS, MOST_LABELS + 1])
def test_a_column_with_many_values_has_no_labels(values: int, tmp_path: Path) -> None:
    ids = [str(n) for n in range(2 * values)]
    lines = b"".join(
        answer_line(i, b"{}", output(5, **columns(n, label=f"l{n % values}")))
        for n, i in enumerate(ids)
    )
    reconciled, _ = collect_shard(
        str(tmp_path), ids, {LINES_KEY: lines}, parse={"columns": COLUMNS}
    )
    labels = reconciled.labels["label"]
    assert (labels is None) == (values > MOST_LABELS)
    assert labels is None or set(labels.values()) == {2}


def test_a_column_with_a_long_text_has_no_labels(tmp_path: Path) -> None:
    """Also if all rows have the same: a report shows no answers."""
    line = answer_line("a", b"{}", output(5, **columns(1, label="x" * (LONGEST_LABEL + 1))))
    reconciled, _ = collect_shard(
        str(tmp_path), ["a"], {LINES_KEY: line}, parse={"columns": COLUMNS}, prefix="llm_"
    )
    assert reconciled.labels == {"label": None, "urgent": {"true": 1}, "summary": {"text 1": 1}}


def test_the_calls_of_the_fallback_are_counted_by_minute_and_latency(tmp_path: Path) -> None:
    """Lines of batch jobs have no such note."""
    batch = answer_line("a", b"{}", output(5))
    online = answer_line("b", b"{}", output(5), None, note_of("m", 6_000, 0.25))
    files = {LINES_KEY: batch, layout.fallback_key(SHARD, "x"): online}
    reconciled, _ = collect_shard(str(tmp_path), ["a", "b"], files)
    assert (reconciled.fallback_minutes, reconciled.latency) == ({"100": 1}, {"200": 1})
