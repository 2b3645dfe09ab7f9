"""Answers that do not fit `results.parse`: outcome invalid, asked again up to `retries` times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bedrock_spark.config import ResultsConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, read_reconciled
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.model_use import total_tokens
from bedrock_spark.spark.result_schema import refuse_clashes
from bedrock_spark.storage import LocalStorage
from tests.unit.collect_shard import LINES_KEY, SHARD, collect_shard
from tests.unit.fakes import make_config

FALLBACK_KEY = f"fallback/{SHARD}/1.jsonl.out"
COLUMNS = "label string NOT NULL, score double, seen timestamp, parts array<struct<n:int>>"
VALID = {"label": "bug", "score": 1, "seen": "2026-11-22T10:30:00Z", "parts": [{"n": 1}, {}]}


def answer_line(record_id: str, text: str) -> bytes:
    output = {"content": [{"type": "text", "text": text}], "usage": {"output_tokens": 2}}
    return json.dumps({"recordId": record_id, "modelOutput": output}).encode() + b"\n"


def error_line(record_id: str) -> bytes:
    return json.dumps({"recordId": record_id, "error": {"errorCode": 500}}).encode() + b"\n"


def collected(
    folder: Path, files: dict[str, bytes], retries: int = 0, ids: str = "abcd"
) -> tuple[ReconciledShard, dict[str, dict[str, Any]], list[str]]:
    """Collect a shard; return its reconciliation, its rows by record id, and the unanswered ids."""
    parse = {"columns": COLUMNS, "retries": retries}
    reconciled, rows = collect_shard(str(folder), ids, files, parse=parse)
    by_id = {row["record_id"]: row for row in rows}
    stored = read_reconciled(LocalStorage(str(folder)), SHARD)
    return reconciled, by_id, list(stored.unanswered_ids)


def test_answers_become_columns_or_are_invalid(tmp_path: Path) -> None:
    """Every row has one of four outcomes; an invalid answer is kept, with its tokens."""
    text = json.dumps(VALID)
    files = {LINES_KEY: answer_line("a", text) + answer_line("b", '{"score": 1}') + error_line("c")}
    reconciled, rows, unanswered = collected(tmp_path, files)
    assert reconciled.outcomes == {"ok": 1, "error": 1, "missing": 1, "invalid": 1}
    assert reconciled.served_by == {"batch": 1, "fallback": 0}
    assert reconciled.tokens["output"] == 4
    ok, invalid, failed = (rows[i] for i in "abc")
    assert (ok["label"], ok["score"], ok["parts"]) == ("bug", 1.0, [{"n": 1}, {"n": None}])
    assert ok["seen"].isoformat() == "2026-11-22T10:30:00+00:00"
    assert (invalid["outcome"], invalid["error_message"]) == ("invalid", "label: is missing")
    assert (invalid["label"], invalid["score"]) == (None, None)
    assert invalid["text"] == '{"score": 1}'
    assert "score" in invalid["model_output"]
    assert (failed["outcome"], failed["label"]) == ("error", None)
    assert unanswered == ["c", "d"]


@pytest.mark.parametrize(("retries", "expected"), [(0, ""), (1, "a"), (2, "ab")])
def test_a_record_with_invalid_answers_is_asked_again_up_to_retries_times(
    tmp_path: Path, retries: int, expected: str
) -> None:
    """`a` has one invalid answer and `b` has two."""
    files = {
        LINES_KEY: answer_line("a", "no") + answer_line("b", "no"),
        FALLBACK_KEY: answer_line("b", "no, again"),
    }
    reconciled, rows, unanswered = collected(tmp_path, files, retries, "ab")
    assert "".join(unanswered) == expected
    assert reconciled.again_records == len(expected)
    assert reconciled.outcomes["invalid"] == 2
    assert rows["b"]["served_by"] == "fallback"
    assert total_tokens(reconciled.fallback_models) == {"input": 0, "output": 2}
    stored = read_reconciled(LocalStorage(str(tmp_path)), SHARD)
    assert stored.fallback_files == (FALLBACK_KEY,)


def test_superseded_answers_of_the_fallback_count_in_fallback_tokens(tmp_path: Path) -> None:
    """An invalid answer that was replaced, and an answer to a record that already had one."""
    valid = json.dumps(VALID)
    second_key = FALLBACK_KEY.replace("/1.", "/2.")
    files = {
        LINES_KEY: answer_line("a", valid) + answer_line("b", "no"),
        FALLBACK_KEY: answer_line("a", valid) + answer_line("b", "no") + error_line("c"),
        second_key: answer_line("b", valid) + answer_line("c", valid),
    }
    reconciled, _, _ = collected(tmp_path, files, 3, "abc")
    assert reconciled.outcomes["ok"] == 3
    assert reconciled.tokens["output"] == 3 * 2
    assert total_tokens(reconciled.fallback_models)["output"] == 4 * 2


def test_answers_of_the_fallback_that_tell_no_tokens_are_counted(tmp_path: Path) -> None:
    """The budget takes each for a record of mean size. One that was superseded counts, too."""
    silent = {"content": [{"type": "text", "text": "no"}]}
    line = json.dumps({"recordId": "a", "modelOutput": silent}).encode() + b"\n"
    files = {
        FALLBACK_KEY: line + answer_line("b", "no"),
        FALLBACK_KEY.replace("/1.", "/2."): line,
    }
    reconciled, _, _ = collected(tmp_path, files, 3, "ab")
    assert total_tokens(reconciled.fallback_models) == {"input": 0, "output": 2, "uncounted": 2}


def test_a_valid_answer_wins_over_an_invalid_one(tmp_path: Path) -> None:
    """In any order of files. A valid answer after an invalid one is not a paid_twice finding."""
    valid = json.dumps(VALID)
    files = {
        LINES_KEY: answer_line("a", "no") + answer_line("b", valid) + answer_line("c", "no"),
        FALLBACK_KEY: answer_line("a", valid) + error_line("c"),
    }
    reconciled, rows, _ = collected(tmp_path, files, 1, "abc")
    assert [rows[i]["outcome"] for i in "abc"] == ["ok", "ok", "invalid"]
    assert rows["a"]["served_by"] == "fallback"
    assert reconciled.findings == ()


def test_a_shard_is_collected_again_if_the_columns_change(tmp_path: Path) -> None:
    """Answers are read by the columns of the current config."""
    files = {LINES_KEY: answer_line("a", '{"label": "x", "size": 1}')}
    assert collected(tmp_path, files, ids="a")[0].outcomes["ok"] == 1
    _, (row,) = collect_shard(str(tmp_path), "a", files, parse={"columns": "size int"})
    assert (row["size"], "label" in row) == (1, False)
    reconciled, _ = collect_shard(str(tmp_path), "a", files, parse="size int, k int NOT NULL")
    assert reconciled.outcomes["invalid"] == 1


def test_parse_may_be_a_string_of_columns() -> None:
    """`parse: label string` is short for columns without retries."""
    parse = make_config(results={"parse": "label string, n int"}).results.parse
    assert parse is not None
    assert (parse.columns, parse.retries) == ("label string, n int", 0)


@pytest.mark.parametrize(
    ("parse", "message"),
    [
        ("text string", "has the column text, a name that the package's own columns have"),
        ("Record_ID string", "has the column Record_ID, a name"),
        ("Reject_Reason string", "has the column Reject_Reason, a name"),
        ("_BS_x int", "has the column _BS_x, a name"),
        ("a decimal(3,1)", "has the type decimal, which answers cannot be read as"),
        ({"columns": "a int", "retries": 11}, "retries"),
        ({"retries": 1}, "results.parse.columns: is required"),
    ],
)
def test_the_config_refuses_bad_columns(parse: Any, message: str) -> None:
    """The error is raised when the config is parsed, before the run begins."""
    with pytest.raises(ConfigError, match=message):
        make_config(results={"parse": parse})


CLASHES = {
    "": ("label", "Label", "text", "TEXT", "model_output"),
    "llm_": ("llm_label", "LLM_Text", "llm_model_output"),
}


@pytest.mark.parametrize("prefix", CLASHES)
def test_a_result_column_that_the_source_has_is_refused(prefix: str) -> None:
    """Names are compared in lower case, because Spark's column names ignore case."""
    values = {"parse": "label string", "prefix": prefix, "model_output": "drop"}
    config = ResultsConfig.model_validate(values)
    free = [name for p, names in CLASHES.items() if p != prefix for name in names]
    refuse_clashes(["id", "body", *free], config)
    for name in CLASHES[prefix]:
        with pytest.raises(ConfigError, match=rf"column {name} has the name of .*results.prefix"):
            refuse_clashes(["id", name], config)


@pytest.mark.parametrize("prefix", ["1x_", "a b", "a.", "`", "é_", "_bs_", "_BS_x", "-"])
def test_the_config_refuses_a_prefix_that_sql_must_quote(prefix: str) -> None:
    """Or one that would make names of the package's own columns."""
    with pytest.raises(ConfigError, match=r"results\.prefix"):
        make_config(results={"prefix": prefix})


def test_a_prefix_renames_every_result_column(tmp_path: Path) -> None:
    """Those of results.parse too, in results and dead letters. A kept column may have their names.

    The members of the answer's JSON keep their names.
    """
    lines = answer_line("a", '{"label": "x"}') + answer_line("b", "no label")
    files, parse = {LINES_KEY: lines}, {"columns": "label string NOT NULL"}
    _, rows = collect_shard(str(tmp_path / "p"), "ab", files, parse=parse, prefix="m_")
    _, plain = collect_shard(str(tmp_path / "q"), "ab", files, parse=parse)
    assert rows == [{k if k == "n" else f"m_{k}": v for k, v in row.items()} for row in plain]
    assert [(row["m_outcome"], row["m_label"]) for row in rows] == [("ok", "x"), ("invalid", None)]
    paths = [tmp_path / p / layout.deadletters_key(SHARD) for p in "pq"]
    letters = [pq.read_table(path).to_pylist() for path in paths]
    assert [{k.removeprefix("m_"): v for k, v in row.items()} for row in letters[0]] == letters[1]
    assert [row["m_outcome"] for row in letters[0]] == ["invalid"]
