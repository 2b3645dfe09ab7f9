"""Answers that do not fit their columns: an outcome of their own, asked again as allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.config import ResultsConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.outputs.reconciled_shard import read_reconciled
from bedrock_spark.spark.result_schema import refuse_clashes
from bedrock_spark.storage import LocalStorage
from tests.unit.collecting import LINES, SHARD, collect_in
from tests.unit.fakes import make_config

FALLBACK = f"fallback/{SHARD}/1.jsonl.out"
COLUMNS = "label string NOT NULL, score double, seen timestamp, parts array<struct<n:int>>"
FITS = {"label": "bug", "score": 1, "seen": "2026-11-22T10:30:00Z", "parts": [{"n": 1}, {}]}


def line(record_id: str, text: str) -> bytes:
    output = {"content": [{"type": "text", "text": text}], "usage": {"output_tokens": 2}}
    return json.dumps({"recordId": record_id, "modelOutput": output}).encode() + b"\n"


def refusal(record_id: str) -> bytes:
    return json.dumps({"recordId": record_id, "error": {"errorCode": 500}}).encode() + b"\n"


def collected(
    folder: Path, files: dict[str, bytes], retries: int = 0, ids: str = "abcd"
) -> tuple[dict[str, Any], dict[str, dict[str, Any]], list[str]]:
    parse = {"columns": COLUMNS, "retries": retries}
    found, rows = collect_in(str(folder), ids, files, parse=parse)
    by_id = {row["record_id"]: row for row in rows}
    reconciled = read_reconciled(LocalStorage(str(folder)), SHARD)
    return found, by_id, reconciled["unanswered_ids"]


def test_answers_become_columns_and_those_that_do_not_fit_are_invalid(tmp_path: Path) -> None:
    """Rows in = ok + error + missing + invalid; the answer and its tokens are kept."""
    text = json.dumps(FITS)
    files = {LINES: line("a", text) + line("b", '{"score": 1}') + refusal("c")}
    found, rows, unanswered = collected(tmp_path, files)
    assert found["outcomes"] == {"ok": 1, "error": 1, "missing": 1, "invalid": 1}
    assert found["served_by"] == {"batch": 1, "fallback": 0}
    assert found["tokens"]["output"] == 4
    ok, invalid, failed = (rows[i] for i in "abc")
    assert (ok["label"], ok["score"], ok["parts"]) == ("bug", 1.0, [{"n": 1}, {"n": None}])
    assert ok["seen"].isoformat() == "2026-11-22T10:30:00+00:00"
    assert (invalid["outcome"], invalid["error_message"]) == ("invalid", "label: is missing")
    assert (invalid["label"], invalid["score"]) == (None, None)
    assert invalid["text"] == '{"score": 1}'
    assert "score" in invalid["model_output"]
    assert (failed["outcome"], failed["label"]) == ("error", None)
    assert unanswered == ["c", "d"]


@pytest.mark.parametrize(("retries", "asked"), [(0, ""), (1, "a"), (2, "ab")])
def test_an_invalid_answer_is_asked_again_as_often_as_allowed(
    tmp_path: Path, retries: int, asked: str
) -> None:
    """By the number of answers that did not fit: one of `a`, two of `b`."""
    files = {LINES: line("a", "no") + line("b", "no"), FALLBACK: line("b", "no, again")}
    found, rows, unanswered = collected(tmp_path, files, retries, "ab")
    assert "".join(unanswered) == asked
    assert found["invalid_unanswered"] == len(asked)
    assert found["outcomes"]["invalid"] == 2
    assert rows["b"]["served_by"] == "fallback"
    assert found["fallback_tokens"] == {"input": 0, "output": 2}
    reconciled = read_reconciled(LocalStorage(str(tmp_path)), SHARD)
    assert reconciled["fallback_files"] == [FALLBACK]


def test_answers_of_the_fallback_cost_tokens_though_they_do_not_stand(tmp_path: Path) -> None:
    """One that did not fit and was replaced, and one to a record that had an answer."""
    good = json.dumps(FITS)
    later = FALLBACK.replace("/1.", "/2.")
    files = {
        LINES: line("a", good) + line("b", "no"),
        FALLBACK: line("a", good) + line("b", "no") + refusal("c"),
        later: line("b", good) + line("c", good),
    }
    found, _, _ = collected(tmp_path, files, 3, "abc")
    assert found["outcomes"]["ok"] == 3
    assert found["tokens"]["output"] == 3 * 2
    assert found["fallback_tokens"]["output"] == 4 * 2


def test_an_answer_that_fits_stands_whenever_it_comes(tmp_path: Path) -> None:
    """After one that does not, or before; asking again was no paying twice."""
    good = json.dumps(FITS)
    files = {
        LINES: line("a", "no") + line("b", good) + line("c", "no"),
        FALLBACK: line("a", good) + refusal("c"),
    }
    found, rows, _ = collected(tmp_path, files, 1, "abc")
    assert [rows[i]["outcome"] for i in "abc"] == ["ok", "ok", "invalid"]
    assert rows["a"]["served_by"] == "fallback"
    assert found["findings"] == []


def test_a_config_of_other_columns_collects_anew(tmp_path: Path) -> None:
    """What answers are read as is the newest config's to say."""
    files = {LINES: line("a", '{"label": "x", "size": 1}')}
    assert collected(tmp_path, files, ids="a")[0]["outcomes"]["ok"] == 1
    _, (row,) = collect_in(str(tmp_path), "a", files, parse={"columns": "size int"})
    assert (row["size"], "label" in row) == (1, False)
    found, _ = collect_in(str(tmp_path), "a", files, parse="size int, k int NOT NULL")
    assert found["outcomes"]["invalid"] == 1


def test_columns_may_be_given_alone() -> None:
    """`parse: label string` is short for columns without retries."""
    parse = make_config(results={"parse": "label string, n int"}).results.parse
    assert parse is not None
    assert (parse.columns, parse.retries) == ("label string, n int", 0)


@pytest.mark.parametrize(
    ("parse", "told"),
    [
        ("text string", "has the column text, which every result has"),
        ("Record_ID string", "has the column Record_ID, which every result has"),
        ("a decimal(3,1)", "has the type decimal, which answers cannot be read as"),
        ({"columns": "a int", "retries": 11}, "retries"),
        ({"retries": 1}, "results.parse.columns: is required"),
    ],
)
def test_the_config_refuses_columns_that_cannot_be(parse: Any, told: str) -> None:
    """Before anything is done."""
    with pytest.raises(ConfigError, match=told):
        make_config(results={"parse": parse})


def test_a_column_of_the_source_is_refused() -> None:
    """In any case, since Spark tells no case apart."""
    config = ResultsConfig.model_validate({"parse": "label string"})
    refuse_clashes(["id", "body"], config)
    with pytest.raises(ConfigError, match="has the column label, which is kept from the source"):
        refuse_clashes(["id", "Label"], config)
