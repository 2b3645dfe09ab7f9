"""After a job that did not complete, the next attempt asks only the unanswered records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path

import pytest

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.fanout.remainder import AttemptInput, attempt_input, chosen_input
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.storage import LocalStorage
from tests.unit.fake_run import FakeRun
from tests.unit.indexed_shard import INDEX_KEY, PREPARE_ID, SHARD, IndexedShard


@pytest.mark.parametrize("status", ["Failed", "Stopped", "Expired"])
def test_answers_of_an_incomplete_job_are_not_paid_for_again(
    fake_run: Callable[..., FakeRun], status: str
) -> None:
    """The next attempt reads an object with the other records; every controller writes the same."""
    fake = fake_run([50], attempts=3)
    fake.put_shard()
    fake.advance()
    fake.put_answers(answered=range(30))
    fake.service.move_all(status, processed=30)
    assert fake.advance().active == 1
    fake.restart()
    assert fake.advance().active == 1
    second = fake.service.requests[1]
    key = layout.remainder_key(fake.plan().shard_id, 2)
    assert second["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].endswith(key)
    asked = [json.loads(line)["recordId"] for line in fake.run.storage.read(key).splitlines()]
    assert asked == [f"R{i}" for i in range(30, 50)]
    assert len(fake.create_calls()) == 2
    fake.service.move_all("Completed", processed=20)
    assert fake.advance().is_done


def test_a_rest_below_the_minimum_is_left_to_the_fallback(fake_run: Callable[..., FakeRun]) -> None:
    """The service would refuse the job. The ledger notes it, so the output is not read again."""
    fake = fake_run([50], attempts=3)
    fake.put_shard()
    fake.advance()
    fake.put_answers(answered=range(41))
    fake.service.move_all("Expired", processed=41)
    assert fake.advance().is_done
    fake.restart()
    assert fake.controller.result().is_done
    assert fake.create_calls() == [fake.job_name()]


def test_a_record_with_a_retryable_error_is_asked_again(fake_run: Callable[..., FakeRun]) -> None:
    """A record with a permanent error is not. A torn line says nothing about its record."""
    fake = fake_run([30], attempts=2)
    fake.put_shard()
    fake.advance()
    lines = [
        {"recordId": "R0", "error": {"errorCode": 500, "errorMessage": "x"}},
        {"recordId": "R1", "error": {"errorCode": 400, "errorMessage": "x"}},
        {"recordId": "R2", "modelOutput": {"text": "a\u2028b\u0085c"}},
    ]
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    fake.put_answers(data=data + b'{"recordId": "R3", "modelOut')
    fake.service.move_all("Failed", processed=3)
    fake.advance()
    rest = fake.run.storage.read(layout.remainder_key(fake.plan().shard_id, 2))
    asked = [json.loads(line)["recordId"] for line in rest.splitlines()]
    assert asked == ["R0", *(f"R{i}" for i in range(3, 30))]


def test_without_answers_the_whole_shard_is_asked_again(fake_run: Callable[..., FakeRun]) -> None:
    """An empty output file has no answers, and an output manifest exists without output too."""
    fake = fake_run([50], attempts=2)
    fake.advance()
    prefix = fake.plan().output_prefix
    fake.run.storage.write(f"{prefix}abc/{fake.plan().shard_id}.jsonl.out", b"")
    fake.run.storage.write(f"{prefix}abc/{layout.OUTPUT_MANIFEST_FILE}", b"{}")
    fake.service.move_all("Failed", processed=0)
    assert not fake.advance().is_done
    assert fake.job_names() == {fake.job_name(0, 1), fake.job_name(0, 2)}


def test_the_digest_of_an_input_is_that_of_its_bytes(fake_run: Callable[..., FakeRun]) -> None:
    """The names and tokens of jobs are made of it: other records must be another job."""
    fake = fake_run([50])
    fake.put_shard()
    (shard,) = fake.manifest.shards
    storage = fake.run.storage
    digests = set()
    for answered in (20, 30):
        fake.put_answers(answered=range(answered))
        for made in (
            attempt_input(storage, shard, 2),
            chosen_input(storage, shard, 3, {f"R{i}" for i in range(answered)}),
        ):
            assert isinstance(made, AttemptInput)
            data = storage.read(made.key)
            assert made.sha256 == hashlib.sha256(data).hexdigest()
            assert made.records == len(data.splitlines())
            digests.add(made.sha256)
    assert len(digests) == 4


@pytest.mark.parametrize("status", ["InProgress", "Failed"])
def test_a_job_that_still_runs_claims_nothing_yet(
    fake_run: Callable[..., FakeRun], status: str
) -> None:
    """Its output follows when it ends; a job that has ended claims what it counts."""
    fake = fake_run([50])
    fake.put_shard()
    (shard,) = fake.manifest.shards
    seen = SeenJob("arn/one", "n", "t", status, succeeded=30)
    made = attempt_input(fake.run.storage, shard, 2, [Job(shard.shard_id, 1, "n", "t", seen)])
    assert isinstance(made, AttemptInput) is (status == "InProgress")


@pytest.mark.parametrize(
    ("unreadable", "counts", "is_asked"),
    [
        (5, {}, True),
        (6, {}, False),
        (6, {"succeeded": 20, "failed": 6}, True),
        (6, {"succeeded": 20, "failed": 5}, False),
        (5, {"succeeded": 20, "failed": 0}, True),
        (5, {"succeeded": 21, "failed": 0}, False),
        (40, {"succeeded": 20, "failed": 40}, True),
    ],
)
def test_lines_that_cannot_be_read_may_be_answers(
    fake_run: Callable[..., FakeRun], unreadable: int, counts: dict[str, int], is_asked: bool
) -> None:
    """More than five that no count accounts for: nothing is asked again, because it may be paid."""
    fake = fake_run([50], attempts=2)
    fake.put_shard()
    fake.advance()
    answers = "".join(f'{{"recordId":"R{i}","modelOutput":{{}}}}\n' for i in range(20))
    data = answers.encode() + b"{torn\n" * unreadable
    fake.put_answers(data=data, job_id=fake.job_id(0))
    fake.service.move_all("Failed", **counts)
    assert fake.advance().active == is_asked
    assert len(fake.create_calls()) == 1 + is_asked
    if is_asked:
        asked = fake.run.storage.read(layout.remainder_key(fake.plan().shard_id, 2))
        assert [json.loads(line)["recordId"] for line in asked.splitlines()] == [
            f"R{i}" for i in range(20, 50)
        ]


def folder_of(fake: FakeRun, sizes: list[int]) -> Shard:
    """Write the records R0, R1, … as a shard of files with these numbers of records."""
    lines = [f'{{"recordId":"R{i}","modelInput":{{}}}}\n' for i in range(sum(sizes))]
    ends = list(accumulate(sizes, initial=0))
    parts = ["".join(lines[a:b]).encode() for a, b in pairwise(ends)]
    files, shard_id = tuple(map(len, parts)), fake.plan().shard_id
    shard = Shard(shard_id, len(lines), sum(files), "d" * 64, prepare_id="p", files=files)
    for key, part in zip(shard.sizes, parts, strict=True):
        fake.run.storage.write(key, part)
    return shard


@pytest.mark.parametrize("left", [1, 20, 45, 49])
@pytest.mark.parametrize("way", ["attempt", "chosen"])
def test_the_remainder_of_several_files_has_files_that_are_no_larger(
    fake_run: Callable[..., FakeRun], left: int, way: str
) -> None:
    """They are in a folder of their own: another remainder of the attempt shares none with it."""
    fake = fake_run([50])
    storage, shard = fake.run.storage, folder_of(fake, [20, 20, 10])
    folders = set()
    for fewer in (0, 1) if left > 1 else (0,):
        rest = [f"R{i}" for i in range(50 - left + fewer, 50)]
        if way == "attempt":
            fake.put_answers(answered=range(50 - left + fewer))
            made = attempt_input(storage, shard, 2)
        else:
            made = chosen_input(storage, shard, 2, rest)
        assert isinstance(made, AttemptInput)
        files = storage.list(made.key)
        data = b"".join(storage.read(file.key) for file in files)
        assert [json.loads(line)["recordId"] for line in data.splitlines()] == rest
        assert (made.records, made.sha256) == (len(rest), hashlib.sha256(data).hexdigest())
        assert max(file.size for file in files) <= max(shard.files)
        counts = [storage.read(file.key).count(b"\n") for file in files]
        # Three files of 50 records have 17 at most, if they are as even as can be.
        assert counts == [17] * (len(rest) // 17) + [len(rest) % 17] * bool(len(rest) % 17)
        assert layout.is_folder(made.key)
        folders.add(made.key)
    assert len(folders) == (2 if left > 1 else 1)


def test_a_shard_of_several_files_is_asked_again_as_it_is_or_not_at_all(
    fake_run: Callable[..., FakeRun],
) -> None:
    """Without an answer the next job reads the same folder; if nothing is left, none is written."""
    fake = fake_run([50])
    shard = folder_of(fake, [25, 25])
    assert attempt_input(fake.run.storage, shard, 2) == AttemptInput(shard.key, 50, "d" * 64)
    fake.put_answers(answered=range(50))
    made = attempt_input(fake.run.storage, shard, 2)
    assert isinstance(made, AttemptInput)
    assert made.records == 0
    assert fake.run.storage.list(layout.REMAINDERS) == []


def asked_of(shard: IndexedShard, settled: list[str]) -> list[str]:
    """Return the records that the attempt after a job with these answers asks."""
    lines = (f'{{"recordId":"{i}","modelOutput":{{"a":1}}}}\n' for i in settled)
    key = f"{layout.outputs_prefix(SHARD)}a1-0/job/{SHARD}.jsonl.out"
    shard.storage.write(key, "".join(lines).encode())
    listed = Shard(SHARD, len(shard.ids), len(shard.data), "d" * 64, prepare_id=PREPARE_ID)
    shard.storage.calls, shard.storage.bytes = [], 0
    made = attempt_input(shard.storage, listed, 2)
    assert isinstance(made, AttemptInput)
    data = shard.storage._storage.read_if_present(made.key) or b""
    assert made.sha256 == ("d" * 64 if made.key == listed.key else hashlib.sha256(data).hexdigest())
    assert all(line in shard.data for line in data.splitlines(keepends=True))
    asked = [json.loads(line)["recordId"] for line in data.splitlines()]
    assert len(asked) == made.records
    return asked


FOREIGN = [f"{n:011d}" for n in range(300)]


@pytest.mark.parametrize("index", ["right", "missing", "of another shard"])
@pytest.mark.parametrize("foreign", [[], FOREIGN])
@pytest.mark.parametrize("rest", ["first", "every 50th", "all", "none"])
def test_the_remainder_is_what_no_answer_names_whatever_the_index_says(
    tmp_path: Path, rest: str, foreign: list[str], index: str
) -> None:
    """Answers to records of other shards are none of this shard."""
    shard = IndexedShard(LocalStorage(str(tmp_path)), 2_000, 1_000)
    if index == "missing":
        shard.storage.delete([INDEX_KEY])
    elif index == "of another shard":
        other = IndexedShard(LocalStorage(str(tmp_path / "other")), 2_500, 900)
        shard.storage.write(INDEX_KEY, other.index)
    ids = shard.ids
    left = {"first": ids[:700], "every 50th": ids[::50], "all": ids, "none": []}[rest]
    assert asked_of(shard, [*(i for i in ids if i not in set(left)), *foreign]) == left


def test_the_remainder_of_a_shard_reads_only_the_bytes_that_may_hold_it(tmp_path: Path) -> None:
    """Beside the output and the index: the blocks of what is left, and small gaps between them."""
    shard = IndexedShard(LocalStorage(str(tmp_path)), 20_000, 1_000)
    left = [*shard.ids[3_000:3_020], *shard.ids[15_000:15_040]]
    assert asked_of(shard, [i for i in shard.ids if i not in set(left)]) == left
    (output,) = shard.storage.list(layout.outputs_prefix(SHARD))
    assert shard.storage.bytes - output.size - len(shard.index) < len(shard.data) / 100
