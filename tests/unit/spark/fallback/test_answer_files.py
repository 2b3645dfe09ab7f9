"""AnswerFiles: when the fallback's answers are written, and that none is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bedrock_spark.errors import InvokeRecordError, InvokeThrottledError, StorageError
from bedrock_spark.outputs.lines import OutputRecord, answer_line, error_line, read_lines
from bedrock_spark.spark.fallback.answer_files import FLUSH_RECORDS, FLUSH_SECONDS, AnswerFiles
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock


class FlakyStorage(LocalStorage):
    """A storage that fails the next `failures` writes."""

    failures = 0

    def write(self, key: str, data: bytes) -> str:
        if self.failures:
            self.failures -= 1
            raise StorageError("full")
        return super().write(key, data)


@pytest.fixture
def storage(tmp_path: Path) -> FlakyStorage:
    return FlakyStorage(str(tmp_path))


def written(storage: LocalStorage) -> list[tuple[str, bytes]]:
    """Return every written line with its shard, sorted by shard."""
    return sorted(
        (item.key.split("/")[1], line)
        for item in storage.list("fallback/")
        for line in storage.read(item.key).splitlines()
    )


def test_answers_are_written_after_100_records(storage: FlakyStorage, clock: FakeClock) -> None:
    """Each answer is written into the folder of its shard."""
    files = AnswerFiles(storage, clock)
    for n in range(FLUSH_RECORDS - 1):
        files.add(f"s{n % 2}", b"%d\n" % n)
    assert written(storage) == []
    files.add("s0", b"x\n")
    assert len(written(storage)) == FLUSH_RECORDS
    assert {shard for shard, _ in written(storage)} == {"s0", "s1"}


def test_answers_are_written_after_5_seconds(storage: FlakyStorage, clock: FakeClock) -> None:
    """Also if no further answer arrives: `flush_if_due` is called while calls are in flight."""
    files = AnswerFiles(storage, clock)
    files.add("s", b"a\n")
    files.flush_if_due()
    assert written(storage) == []
    clock.time += FLUSH_SECONDS
    files.flush_if_due()
    assert written(storage) == [("s", b"a")]
    files.flush()
    assert len(storage.list("fallback/")) == 1


def test_answers_that_cannot_be_written_are_kept(storage: FlakyStorage, clock: FakeClock) -> None:
    """They were paid for. The next flush writes them, in the order in which they were added."""
    files = AnswerFiles(storage, clock)
    for n in range(6):
        files.add(f"s{n % 3}", b"%d\n" % n)
    storage.failures = 1
    with pytest.raises(StorageError, match="full"):
        files.flush()
    files.add("s1", b"9\n")
    files.flush()
    assert written(storage) == [
        *(("s0", b"0"), ("s0", b"3"), ("s1", b"1"), ("s1", b"4"), ("s1", b"9")),
        *(("s2", b"2"), ("s2", b"5")),
    ]


def test_lines_have_the_format_of_bedrock() -> None:
    """So collect reads them like the output lines of a batch job."""
    lines = [
        answer_line("a", b'{"p":1}', b'{"q":2}'),
        error_line("b", b"{}", InvokeThrottledError("slow é", error_code=429)),
        error_line("c", b"{}", InvokeRecordError("bad", error_code=400)),
        error_line("d", b"{}", InvokeThrottledError("no code")),
        error_line("e", b"{}", InvokeRecordError("all", error_code=400), may_be_the_accounts=True),
    ]
    assert json.loads(lines[0]) == {
        "recordId": "a",
        "modelInput": {"p": 1},
        "modelOutput": {"q": 2},
    }
    records = [line for line in read_lines(b"".join(lines)) if isinstance(line, OutputRecord)]
    errors = [(r.record_id, r.error and (r.error.code, r.error.is_retryable)) for r in records]
    assert errors == [
        *(("a", None), ("b", (429, True)), ("c", (400, False)), ("d", (500, True))),
        ("e", (400, True)),
    ]
