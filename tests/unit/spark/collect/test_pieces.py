"""Results are built in pieces of bounded bytes: an Arrow array holds 2 GiB at most."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bedrock_spark.families.ceilings import Ceiling
from bedrock_spark.outputs import line_pieces
from bedrock_spark.outputs import spill as spilling
from bedrock_spark.outputs.ask_again import AskAgain
from bedrock_spark.outputs.lines import read_lines
from bedrock_spark.spark.collect import results_file
from bedrock_spark.spark.parquet import ParquetFile
from tests.unit.collect_shard import LINES_KEY, SHARD, collect_shard


def answer(text: str, stop_reason: str) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": len(text)}
    content = [{"type": "text", "text": text}]
    return {"content": content, "stop_reason": stop_reason, "usage": usage}


LINE = st.tuples(
    st.sampled_from(["a", "b", "c", "d", "foreign", "e", "f"]),
    st.sampled_from(
        [
            *({"modelOutput": {"content": [{"type": "text", "text": x}]}} for x in ("", "x", "{}")),
            *({"modelOutput": answer(x, "end_turn")} for x in ('{"m": 1}', '{"m": 1} {"m": 2}')),
            *({"modelOutput": answer("x", reason)} for reason in ("refusal", "max_tokens", "?")),
            {"modelOutput": answer('{"m": 3}', "end_turn"), "serviceTier": "flex"},
            {"modelOutput": {"content": [], "usage": {"input_tokens": 2**63, "output_tokens": 1}}},
            {"modelOutput": {"errorCode": 500, "errorMessage": "x"}},
            {"modelOutput": {"content": [{"type": "tool_use", "input": {"m": 4}}], "usage": {}}},
            *({"error": {"errorCode": code, "errorMessage": "x"}} for code in (400, 500)),
            *({"modelOutput": "odd"}, {"modelOutput": None}, {"other": 1}),
        ]
    ),
)


@pytest.mark.parametrize("sharing", [1, 3])
def test_pieces_are_cut_by_the_bytes_of_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharing: int
) -> None:
    """Also if rows share a record: each of them has a copy of the answer. No row is lost."""
    batches: list[pa.RecordBatch] = []
    write = ParquetFile.write

    def watched(file: ParquetFile, batch: pa.RecordBatch) -> None:
        if "model_output" in batch.schema.names:  # dead letters have no such column
            batches.append(batch)
        write(file, batch)

    monkeypatch.setattr(ParquetFile, "write", watched)
    monkeypatch.setattr(results_file, "PIECE_BYTES", 2_000)
    ids = [f"{n:011d}" for n in range(60)]
    outputs = {i: {"content": [{"type": "text", "text": i * (n % 200)}]} for n, i in enumerate(ids)}
    lines = [json.dumps({"recordId": i, "modelOutput": o}) for i, o in outputs.items()]
    rows = [i for i in ids for _ in range(sharing)]
    _, results = collect_shard(str(tmp_path), rows, {LINES_KEY: "\n".join(lines).encode()})
    assert [row["record_id"] for row in results] == rows
    assert [json.loads(row["model_output"]) for row in results] == [outputs[i] for i in rows]
    for batch in batches:
        answers = [len(text) for text in batch["model_output"].to_pylist()]
        assert sum(answers[:-1]) < 2_000
    assert len(batches) >= sharing * sum(len(str(o)) for o in outputs.values()) // 4_000 > 1


@settings(max_examples=30)
@given(st.data())
def test_results_do_not_depend_on_what_stays_in_memory(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Answers that are not ok wait in a file: the rows are the same, whatever follows them."""
    answers = [answer(*of) for of in (("cut", "max_tokens"), ("no", "refusal"), ("x", "end_turn"))]
    outputs = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(answers)), max_size=8)
    fallback = f"fallback/{SHARD}/%d.jsonl.out"
    files = {LINES_KEY: lines_of(data.draw(outputs))}
    files |= {fallback % n: lines_of(data.draw(outputs)) for n in (1, 2)}
    again = AskAgain(refused=1, ceiling=Ceiling(("max_tokens",), 100), most=400)
    collected = []
    for in_memory in (10**9, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(spilling, "IN_MEMORY", in_memory)
            folder = str(tmp_path_factory.mktemp("run"))
            shard, rows = collect_shard(folder, "abccd", files, again=again)
        collected.append((shard.outcomes, shard.fallback_models, shard.reasons, rows))
    assert collected[0] == collected[1]
    assert len(collected[0][3]) == 5


@settings(max_examples=60)
@given(st.data())
def test_results_do_not_depend_on_what_is_read_together(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Outcomes, tokens, reasons, findings and rows are those of reading line by line."""
    lines = st.lists(LINE, max_size=8).map(
        lambda pairs: b"".join(
            json.dumps({"recordId": i, **rest}).encode() + b"\n" for i, rest in pairs
        )
    )
    other = LINES_KEY.replace("/a1", "/a2")
    assert other != LINES_KEY
    files = {LINES_KEY: data.draw(lines), other: data.draw(lines)}
    files[f"fallback/{SHARD}/1.jsonl.out"] = data.draw(lines)
    results = data.draw(st.sampled_from([{}, {"parse": {"columns": "m int", "retries": 1}}]))
    collected = []
    for one_by_one in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if one_by_one:
                patch.setattr(line_pieces, "read_many", _read_one_by_one)
            folder = str(tmp_path_factory.mktemp("run"))
            shard, rows = collect_shard(folder, "abccdef", files, **results)
        # Versions of files are in the digests, and those differ.
        collected.append((replace(shard, fingerprint="", outputs="", files=("", "")), rows))
    assert collected[0] == collected[1]
    assert len(collected[0][1]) == 7


def _read_one_by_one(data: bytes, _: int, *at: int, **notes: bool) -> Iterator[Any]:
    return read_lines(data, *at, **notes)


def lines_of(outputs: list[tuple[str, dict[str, Any]]]) -> bytes:
    pairs = [{"recordId": i, "modelOutput": output} for i, output in outputs]
    return b"".join(json.dumps(pair).encode() + b"\n" for pair in pairs)
