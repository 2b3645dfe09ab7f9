"""Fallback answers on their way: when they are written, and that none is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bedrock_spark.errors import InvokeRecordError, InvokeThrottledError, StorageError
from bedrock_spark.outputs.lines import OutputRecord, answer_line, error_line, read_lines
from bedrock_spark.spark.fallback.answer_files import FLUSH_RECORDS, FLUSH_SECONDS, AnswerFiles
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock


class Flaky(LocalStorage):
    """Storage that refuses some writes."""

    refusals = 0

    def write(self, key: str, data: bytes) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StorageError("full")
        super().write(key, data)


@pytest.fixture
def storage(tmp_path: Path) -> Flaky:
    return Flaky(str(tmp_path))


def written(storage: LocalStorage) -> list[tuple[str, bytes]]:
    """Give each line that is in the folder, with its shard."""
    return sorted(
        (found.key.split("/")[1], line)
        for found in storage.list("fallback/")
        for line in storage.read(found.key).splitlines()
    )


def test_answers_are_written_every_few_records(storage: Flaky, clock: FakeClock) -> None:
    """Into the folder of their shard."""
    files = AnswerFiles(storage, clock)
    for n in range(FLUSH_RECORDS - 1):
        files.add(f"s{n % 2}", b"%d\n" % n)
    assert written(storage) == []
    files.add("s0", b"x\n")
    assert len(written(storage)) == FLUSH_RECORDS
    assert {shard for shard, _ in written(storage)} == {"s0", "s1"}


def test_answers_are_written_every_few_seconds(storage: Flaky, clock: FakeClock) -> None:
    """Also where no other comes: whoever waits for answers looks."""
    files = AnswerFiles(storage, clock)
    files.add("s", b"a\n")
    files.flush_if_due()
    assert written(storage) == []
    clock.time += FLUSH_SECONDS
    files.flush_if_due()
    assert written(storage) == [("s", b"a")]
    files.flush()
    assert len(storage.list("fallback/")) == 1


def test_what_cannot_be_written_is_kept(storage: Flaky, clock: FakeClock) -> None:
    """It is paid for: the next flush has it, in its old order."""
    files = AnswerFiles(storage, clock)
    for n in range(6):
        files.add(f"s{n % 3}", b"%d\n" % n)
    storage.refusals = 1
    with pytest.raises(StorageError, match="full"):
        files.flush()
    files.add("s1", b"9\n")
    files.flush()
    assert written(storage) == [
        *(("s0", b"0"), ("s0", b"3"), ("s1", b"1"), ("s1", b"4"), ("s1", b"9")),
        *(("s2", b"2"), ("s2", b"5")),
    ]


def test_lines_are_those_of_bedrock() -> None:
    """Collect reads them as it reads a job's."""
    lines = [
        answer_line("a", b'{"p":1}', b'{"q":2}'),
        error_line("b", b"{}", InvokeThrottledError("slow é", error_code=429)),
        error_line("c", b"{}", InvokeRecordError("bad", error_code=400)),
        error_line("d", b"{}", InvokeThrottledError("no code")),
    ]
    assert json.loads(lines[0]) == {
        "recordId": "a",
        "modelInput": {"p": 1},
        "modelOutput": {"q": 2},
    }
    found = [line for line in read_lines(b"".join(lines)) if isinstance(line, OutputRecord)]
    told = [(f.record_id, f.error and (f.error.code, f.error.is_retryable)) for f in found]
    assert told == [("a", None), ("b", (429, True)), ("c", (400, False)), ("d", (500, True))]
