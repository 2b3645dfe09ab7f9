"""Answers that were cut off or refused: their rows, their reasons, and what is asked again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.cli.closing_table import OUTCOME_LINES
from bedrock_spark.families.ceilings import Ceiling
from bedrock_spark.outputs.ask_again import AskAgain
from bedrock_spark.outputs.judge import Judge
from bedrock_spark.outputs.outcomes import REJECTED
from bedrock_spark.outputs.reconcile import ShardReconciliation
from bedrock_spark.outputs.reconciled_shard import read_reconciled
from bedrock_spark.outputs.record_outcome import BATCH, Origin
from bedrock_spark.report.values import OUTCOMES
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.model_use import total_tokens
from bedrock_spark.run_folder.report_file import WAITING
from bedrock_spark.storage import LocalStorage
from tests.unit.collect_shard import LINES_KEY, SHARD, collect_shard
from tests.unit.outputs.test_reconcile import BAD, CUT, DECLINED, EMPTY, GOOD, JUDGE, failed, ok

AGAIN = AskAgain(refused=1, ceiling=Ceiling(("max_tokens",), 100), most=400)
FALLBACK_KEY = f"fallback/{SHARD}/%d.jsonl.out"


def answer(text: str, stop_reason: str, thinking: str | None = None) -> dict[str, Any]:
    blocks = [{"type": "thinking", "thinking": thinking}] if thinking else []
    blocks += [{"type": "text", "text": text}] if text else []
    usage = {"input_tokens": 3, "output_tokens": 5}
    return {"content": blocks, "stop_reason": stop_reason, "usage": usage}


def lines(**outputs: dict[str, Any]) -> bytes:
    pairs = [{"recordId": i, "modelOutput": o} for i, o in outputs.items()]
    return b"".join(json.dumps(pair).encode() + b"\n" for pair in pairs)


def test_their_rows_keep_what_was_answered(tmp_path: Path) -> None:
    """Text, reasoning, stop reason and tokens; the message says what is wrong."""
    files = {
        LINES_KEY: lines(
            a=answer("half an answ", "max_tokens"),
            b=answer("", "max_tokens", "hm"),
            c=answer("I cannot.", "refusal"),
            d=answer("fine", "end_turn"),
        )
    }
    reconciled, rows = collect_shard(str(tmp_path), "abcd", files)
    assert reconciled.outcomes == {"ok": 1, "error": 0, "missing": 0, "truncated": 2, "refused": 1}
    assert reconciled.tokens == {"input": 12, "output": 20}
    shown = [(r["outcome"], r["text"], r["reasoning"], r["error_message"]) for r in rows]
    assert shown == [
        ("truncated", "half an answ", None, "cut off: stop reason max_tokens"),
        (
            *("truncated", None, "hm"),
            "empty: the answer has reasoning, but no text; stop reason max_tokens",
        ),
        ("refused", "I cannot.", None, "refused: stop reason refusal"),
        ("ok", "fine", None, None),
    ]
    assert all(row["output_tokens"] == 5 and row["error_code"] is None for row in rows)
    assert {(r.outcome, r.count) for r in reconciled.reasons} == {("truncated", 1), ("refused", 1)}
    dead = pq.read_table(tmp_path / layout.deadletters_key(SHARD)).to_pylist()
    assert [row["outcome"] for row in dead] == ["truncated", "truncated", "refused"]


def test_columns_that_fit_before_the_cut_are_filled_in(tmp_path: Path) -> None:
    """The row is truncated all the same. A refused row has none."""
    text = '{"label": "x"} and more'
    files = {LINES_KEY: lines(a=answer(text, "max_tokens"), b=answer(text, "refusal"))}
    _, rows = collect_shard(str(tmp_path), "ab", files, parse="label string")
    assert [(r["outcome"], r["label"]) for r in rows] == [("truncated", "x"), ("refused", None)]


def test_the_run_folder_holds_what_is_asked_again_and_how(tmp_path: Path) -> None:
    """Each answer that was cut off doubles the limit: all of it follows from the output."""
    cut, refusal = answer("a", "max_tokens"), answer("no", "refusal")
    files = {
        LINES_KEY: lines(a=cut, b=cut, c=refusal, d=answer("fine", "end_turn"), f=cut),
        FALLBACK_KEY % 1: lines(b=cut, c=refusal, f=cut),
        FALLBACK_KEY % 2: lines(f=cut),
    }
    reconciled, _ = collect_shard(str(tmp_path), "abcdef", files, again=AGAIN)
    assert (reconciled.unanswered_records, reconciled.again_records) == (3, 2)
    assert reconciled.limits == {}, "the controller does not need it"
    assert reconciled.raised_tokens == 200 + 400
    stored = read_reconciled(LocalStorage(str(tmp_path)), SHARD)
    assert stored.unanswered_ids == ("a", "b", "e")
    assert stored.again_ids == ("a", "b")
    assert stored.limits == {"a": 200, "b": 400}
    used = total_tokens(reconciled.fallback_models)
    assert used["output"] == 4 * 5, "also of answers that do not count"


def test_the_longest_of_the_answers_that_were_cut_off_counts(tmp_path: Path) -> None:
    """An empty one counts less than any other, whichever came first."""
    files = {
        LINES_KEY: lines(a=answer("a b c", "max_tokens"), b=answer("a", "max_tokens")),
        FALLBACK_KEY % 1: lines(
            a=answer("", "max_tokens", "hm " * 99), b=answer("a b c", "max_tokens")
        ),
    }
    _, rows = collect_shard(str(tmp_path), "ab", files, again=AGAIN)
    assert [row["text"] for row in rows] == ["a b c", "a b c"]
    assert [row["served_by"] for row in rows] == ["batch", "fallback"]


def test_another_config_collects_the_shard_again(tmp_path: Path) -> None:
    """What is unanswered depends on it."""
    files = {LINES_KEY: lines(a=answer("a", "max_tokens"))}
    for again, unanswered in ((AGAIN, 1), (AskAgain(), 0), (AGAIN, 1)):
        reconciled, _ = collect_shard(str(tmp_path), "a", files, again=again)
        assert (reconciled.unanswered, reconciled.again_records) == (unanswered, unanswered)


ANSWERS = st.sampled_from([GOOD, BAD, CUT, EMPTY, DECLINED, b'{"choices": []}', None])


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), ANSWERS), max_size=4), st.booleans())
def test_every_row_has_exactly_one_outcome(
    files: list[dict[str, bytes | None]], parses: bool
) -> None:
    """For any answers: the outcomes add up to the rows, and the report knows each of them."""
    family = JUDGE._family
    judge = JUDGE if parses else Judge(family)
    expected = {"a": 1, "b": 2, "c": 1, "d": 3}
    reconciliation = ShardReconciliation(SHARD, expected, judge, AGAIN)
    for attempt, answers in enumerate(files, 1):
        found = [ok(i, a) if a is not None else failed(i) for i, a in answers.items()]
        reconciliation.add(Origin(BATCH, attempt, source=f"output/a{attempt}/x"), found)
    reconciliation.finish()
    counts = reconciliation.counts()
    assert sum(counts.values()) == sum(expected.values())
    assert counts.keys() <= set(OUTCOMES) - {REJECTED, WAITING}
    by_row = {i: reconciliation.ended(i) for i in expected}
    for ended in counts:
        assert counts[ended] == sum(expected[i] for i, e in by_row.items() if e == ended)
    asked = {i for i in reconciliation.unanswered() if by_row[i] == "truncated"}
    assert reconciliation.limits(expected).keys() >= asked


def test_the_closing_table_has_a_line_for_each_outcome() -> None:
    """Otherwise its lines would not add up to the rows."""
    assert {*OUTCOME_LINES, "ok"} == set(OUTCOMES)
