"""A lookup opens a bounded number of files, and reads the others once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from bedrock_spark.answers.lookup import LOOKED_UP
from bedrock_spark.answers.store import (
    HIGHEST,
    LOWEST,
    AnswersFile,
    files_in_groups,
    pin_files,
)
from bedrock_spark.answers.table import BODY_HASH
from bedrock_spark.spark.prepare import streamed_answers as streaming
from bedrock_spark.spark.prepare.columns import HASH
from bedrock_spark.spark.prepare.streamed_answers import (
    ANSWER,
    ReadAnswers,
    StreamedAnswers,
    split_files,
)
from tests.unit.answers.rows import answer, store_at, write

HASHES = st.integers(LOWEST, HIGHEST)


@st.composite
def listed(draw: st.DrawFn) -> list[AnswersFile]:
    files = []
    for number in range(draw(st.integers(0, 60))):
        first, last = sorted((draw(HASHES), draw(HASHES)))
        size = draw(st.integers(1, 400) | st.integers(1, 200_000_000))
        files.append(AnswersFile(f"answers/{number}.parquet", size, first, last))
    return files


@given(listed(), st.integers(1, 4_096))
def test_how_many_files_tasks_open_is_bounded_whatever_the_store_is(
    files: list[AnswersFile], parts: int
) -> None:
    """By the number of tasks, or by the bytes of the store: never by tasks times files."""
    opened, streamed = split_files(files, parts)
    assert sorted(f.key for f in (*opened, *streamed)) == sorted(f.key for f in files)
    opens = sum(streaming._spans(opened, parts))
    size = sum(file.size for file in files)
    assert opens <= max(streaming._FEW_FILES * parts, size / streaming._OPEN_BYTES + 1)
    if opens and not streamed and len(files) <= streaming._FEW_FILES:
        assert opened == tuple(files)


def test_thousands_of_small_files_are_read_once() -> None:
    small = [AnswersFile(f"answers/{number}.parquet", 40_000) for number in range(5_000)]
    large = [AnswersFile(f"answers/large-{number}.parquet", 200_000_000) for number in range(3)]
    opened, streamed = split_files([*small, *large], 80)
    assert opened == tuple(large)
    most = streaming._READ_BYTES, streaming._READ_FILES
    groups = list(files_in_groups(streamed, *most))
    assert [file for group in groups for file in group] == small
    assert len(groups) == 25


@given(listed(), st.integers(1, 10**9), st.none() | st.integers(1, 20))
def test_a_group_has_no_more_bytes_and_files_than_it_may(
    files: list[AnswersFile], most_bytes: int, most_files: int | None
) -> None:
    groups = list(files_in_groups(files, most_bytes, most_files))
    assert [file for group in groups for file in group] == files
    for group in groups:
        assert 1 <= len(group) <= (most_files or len(files))
        assert len(group) == 1 or sum(file.size for file in group) <= most_bytes


def streamed_rows(
    storage_folder: Path, rows: Sequence[Sequence[dict[str, object]]]
) -> pa.RecordBatch:
    """Return the rows that are read of files, one for each item, in the order of hashes."""
    storage = store_at(storage_folder)
    for number, part in enumerate(rows):
        write(storage, part, label=f"run-{number}")
    files = pin_files(storage)
    read = ReadAnswers(storage, (files[:1], files[1:]))
    batches = list(read(iter([pa.record_batch({"id": [0, 1]})])))
    (batch,) = pa.Table.from_batches(batches).sort_by(HASH).combine_chunks().to_batches()
    return batch


def with_source_rows(answers: pa.RecordBatch, hashes: Sequence[int]) -> pa.RecordBatch:
    """Return answers and rows of the source in the order of hashes, answers first."""
    both = {HASH: [*answers[HASH].to_pylist(), *hashes]}
    both["id"] = [None] * answers.num_rows + list(range(len(hashes)))
    table = pa.table(both).append_column(
        ANSWER, pa.concat_arrays([answers[ANSWER], pa.nulls(len(hashes), answers[ANSWER].type)])
    )
    order = sorted(range(table.num_rows), key=lambda n: (both[HASH][n], both["id"][n] or 0))
    order = sorted(order, key=lambda n: (both[HASH][n], both["id"][n] is not None))
    (batch,) = table.take(order).combine_chunks().to_batches()
    return batch


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_answers_reach_the_rows_with_their_hash_however_chunks_are_cut(
    tmp_path: Path, rows: int
) -> None:
    kept = [
        [answer("a", "one", hashed=1), answer("b", "two", hashed=5)],
        [answer("b", "three", hashed=5, at=7.25), answer("c", "four", hashed=9)],
    ]
    batch = with_source_rows(streamed_rows(tmp_path, kept), [1, 5, 5, 6, 9])
    taken, outputs = StreamedAnswers(), dict[int, set[str]]()
    seen: list[int] = []
    for start in range(0, batch.num_rows, rows):
        chunk, answers = taken.take(batch.slice(start, rows))
        assert chunk.schema.names == [HASH, "id"]
        assert answers is not None
        assert answers.schema.names == [BODY_HASH, *LOOKED_UP.names]
        assert [answers.schema.field(f.name).type for f in LOOKED_UP] == LOOKED_UP.types
        found = answers.to_pylist()
        for row in chunk.to_pylist():
            texts = {one["model_output"] for one in found if one[BODY_HASH] == row[HASH]}
            outputs.setdefault(row["id"], set()).update(texts)
        seen += chunk["id"].to_pylist()
        assert all(one["answered_at"] is not None for one in found)
    assert seen == [0, 1, 2, 3, 4]
    one, two, three, four = ({f'{{"text":"{t}"}}'} for t in ("one", "two", "three", "four"))
    assert outputs == {0: one, 1: two | three, 2: two | three, 3: set(), 4: four}


def test_a_chunk_without_answers_is_as_it_was() -> None:
    chunk = pa.record_batch({HASH: [1, 2]})
    assert StreamedAnswers().take(chunk) == (chunk, None)
