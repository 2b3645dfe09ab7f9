"""What a held run says: the service's messages, counted, and the error codes of its outputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.errors import StorageError
from bedrock_spark.fanout.breaker import reason_of
from bedrock_spark.run_folder.job_plan import output_prefix
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import make_config

SHARD = "shard-00000-00"


def job(number: int, message: str | None = None, target: str = "") -> Job:
    """Return a job that answered nothing, Failed with a message or Completed without one."""
    status = "Failed" if message is not None else "Completed"
    seen = SeenJob(f"arn:x/job{number}", f"n{number}", "token", status, message=message)
    return Job(SHARD, number, f"n{number}", "token", seen, target=target)


def reason(folder: Path, jobs: Sequence[Job], **sections: Any) -> str:
    return reason_of(jobs, make_config(**sections), LocalStorage(str(folder)))


def put(folder: Path, number: int, name: str, data: bytes) -> None:
    key = f"{output_prefix(SHARD, number, 'token')}job{number}/{name}"
    LocalStorage(str(folder)).write(key, data)


def line(code: int | None = None, record_id: str = "R0") -> bytes:
    rest: dict[str, Any] = {"modelOutput": {"secret": 1}}
    if code is not None:
        rest = {"error": {"errorCode": code, "errorMessage": "secret"}}
    return json.dumps({"recordId": record_id, **rest}).encode() + b"\n"


@pytest.mark.parametrize(
    ("messages", "causes"),
    [
        ("a", '1 x Failed "a"'),
        ("aab", '2 x Failed "a"; 1 x Failed "b"'),
        ("abbccc", '3 x Failed "c"; 2 x Failed "b"; 1 x Failed "a"'),
        (
            "aaaabbbccd",
            '4 x Failed "a"; 3 x Failed "b"; 2 x Failed "c"; and 1 other outcomes',
        ),
        ("aaabbcdef", '3 x Failed "a"; 2 x Failed "b"; 1 x Failed "c"; and 3 other outcomes'),
    ],
)
def test_three_messages_are_shown_and_the_others_counted(
    tmp_path: Path, messages: str, causes: str
) -> None:
    """The most frequent first."""
    shown = reason(tmp_path, [job(n, message) for n, message in enumerate(messages)])
    expected = f"the last {len(messages)} batch jobs answered no record: {causes}. Correct"
    assert shown.startswith(expected)


def test_the_last_twenty_jobs_are_looked_at(tmp_path: Path) -> None:
    """Two hundred jobs may have answered nothing while the run was not held."""
    jobs = [job(n, "old" if n < 180 else "new") for n in range(200)]
    shown = reason(tmp_path, jobs)
    assert shown.startswith('the last 20 batch jobs answered no record: 20 x Failed "new". Corr')


@pytest.mark.parametrize(("length", "shown_length"), [(299, 299), (300, 300), (301, 304)])
def test_a_long_message_is_cut(tmp_path: Path, length: int, shown_length: int) -> None:
    message = "x" * length
    expected = message if shown_length == length else f"{'x' * 300} ..."
    assert len(expected) == shown_length
    assert f'Failed "{expected}". Correct' in reason(tmp_path, [job(1, message)])


def test_the_target_of_a_job_is_named(tmp_path: Path) -> None:
    """One of several targets may be the cause."""
    shown = reason(tmp_path, [job(1, "no", target="west"), job(2, "no", target="west")])
    assert '2 x Failed at west "no"' in shown


@pytest.mark.parametrize("has_fallback", [False, True])
def test_the_fallback_is_offered_if_there_is_one(tmp_path: Path, has_fallback: bool) -> None:
    sections = {"fallback": {"model_id": "m"}} if has_fallback else {}
    shown = reason(tmp_path, [job(1, "no")], **sections)
    assert ("fallback.max_share: 1.0" in shown) is has_fallback


def test_error_codes_stand_for_a_job_without_a_message(tmp_path: Path) -> None:
    """The three most frequent. Lines that cannot be read and answers say nothing."""
    codes = [400] * 4 + [403] * 3 + [429] * 2 + [500]
    lines = [line(), b"{no JSON\n", *(line(code, f"R{n}") for n, code in enumerate(codes))]
    put(tmp_path, 1, "manifest.json.out", b"{}")
    put(tmp_path, 1, "a.jsonl.out", b"")
    put(tmp_path, 1, "image.png", line(418))
    put(tmp_path, 1, "x.jsonl.out", b"".join(lines))
    shown = reason(tmp_path, [job(1)])
    assert "1 x Completed with errors only: code 400, code 403, code 429. Correct" in shown
    assert "secret" not in shown


def test_a_job_without_output_or_with_one_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is still given."""
    put(tmp_path, 2, "x.jsonl.out", line())
    shown = reason(tmp_path, [job(1), job(2)])
    assert "2 x Completed without output. Correct" in shown

    def refuse(*_: object) -> bytes:
        raise StorageError("AccessDenied")

    monkeypatch.setattr(LocalStorage, "read_range", refuse)
    assert "1 x Completed. Correct" in reason(tmp_path, [job(2)])
