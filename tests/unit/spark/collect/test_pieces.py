"""Results are built in pieces of bounded bytes: an Arrow array holds 2 GiB at most."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock_spark.families.ceilings import Ceiling
from bedrock_spark.outputs import spill as spilling
from bedrock_spark.outputs.ask_again import AskAgain
from bedrock_spark.spark.collect import results_file
from bedrock_spark.spark.parquet import ParquetFile
from tests.unit.collect_shard import LINES_KEY, SHARD, collect_shard


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
        collected.append((shard.outcomes, shard.fallback_tokens, shard.reasons, rows))
    assert collected[0] == collected[1]
    assert len(collected[0][3]) == 5


def answer(text: str, stop_reason: str) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": len(text)}
    content = [{"type": "text", "text": text}]
    return {"content": content, "stop_reason": stop_reason, "usage": usage}


def lines_of(outputs: list[tuple[str, dict[str, Any]]]) -> bytes:
    pairs = [{"recordId": i, "modelOutput": output} for i, output in outputs]
    return b"".join(json.dumps(pair).encode() + b"\n" for pair in pairs)
