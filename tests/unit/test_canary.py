"""The canary: which records are asked, what counts as refused, and what is said and written."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from bedrock_spark.aws.clients import runtime_client
from bedrock_spark.canary import ask_canary, is_canary_due
from bedrock_spark.errors import CanaryError, RunFolderError
from bedrock_spark.progress import Progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder import records as records_module
from bedrock_spark.run_folder.canary_results import CanaryFailure, read_tries
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.records import first_records
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import CLAUDE, CannedHttp, FakeClock, Reply, aws_failure, make_config

REFUSED = ("ValidationException", 400)
QUESTION = "what of "
THROTTLED = aws_failure("ThrottlingException", 429, "slower")


class Model(CannedHttp):
    """A model that is asked in any order: it replies by the id of the record."""

    def __init__(self, client: Any, reply: Callable[[str], Reply]) -> None:
        super().__init__(client)
        self.asked: list[str] = []
        self._reply = reply
        self._lock = threading.Lock()

    def _answer(self, request: AWSPreparedRequest, **more: Any) -> AWSResponse:
        prompt = json.loads(bytes(request.body))["messages"][0]["content"]
        record_id = prompt.removeprefix(QUESTION).rstrip("x")
        with self._lock:
            self.asked.append(record_id)
            self._replies.append(self._reply(record_id))
            return super()._answer(request, **more)


def answer(text: str = "fine") -> Reply:
    usage = {"input_tokens": 30, "output_tokens": 7}
    return 200, {"content": [{"type": "text", "text": text}], "usage": usage}


@pytest.fixture
def model() -> Iterator[Callable[..., Model]]:
    """Let the model answer by this rule, for one test."""
    opened: list[Model] = []

    def answering(run: Run, rule: Callable[[str], Reply]) -> Model:
        client = runtime_client(run.aws, 300, 5)
        opened.append(Model(client, rule))
        return opened[-1]

    yield answering
    for one in opened:
        one.close()


def a_run(folder: Path, records: tuple[int, ...] = (3, 3, 3), **canary: Any) -> Run:
    """Begin a run and put its shards there; the prompt of a record has its id."""
    run = open_run(make_config(str(folder), canary=canary), FakeClock())
    for shard in shards_of(records):
        run.storage.write(layout.shard_key(shard.shard_id), shard_bytes(shard))
    return run


def shards_of(records: tuple[int, ...]) -> list[Shard]:
    return [Shard(f"shard-{i:02d}", count, 0, "x") for i, count in enumerate(records)]


def shard_bytes(shard: Shard, extra: str = "") -> bytes:
    ids = [f"{shard.shard_id}-{n}" for n in range(shard.records)]
    return b"".join(line(record_id, record_id + extra) for record_id in ids)


def line(record_id: str, prompt: str) -> bytes:
    body = {"messages": [{"role": "user", "content": QUESTION + prompt}]}
    return json.dumps({"recordId": record_id, "modelInput": body}).encode() + b"\n"


@pytest.mark.parametrize(
    ("records", "count", "expected"),
    [
        ((3, 3, 3), 3, ["00-0", "01-0", "02-0"]),
        ((3, 3, 3), 2, ["00-0", "01-0"]),
        ((3, 3, 3, 3), 2, ["00-0", "02-0"]),
        ((9,) * 10, 5, ["00-0", "02-0", "04-0", "06-0", "08-0"]),
        ((3, 3), 5, ["00-0", "00-1", "00-2", "01-0", "01-1"]),
        ((9,), 4, ["00-0", "00-1", "00-2", "00-3"]),
        ((2,), 5, ["00-0", "00-1"]),
        ((), 5, []),
    ],
)
def test_records_come_from_all_over_the_run(
    tmp_path: Path, records: tuple[int, ...], count: int, expected: list[str]
) -> None:
    """The first of each shard, the same every time; more of a shard where there are few."""
    run = a_run(tmp_path, records)
    found = first_records(run.storage, shards_of(records), count)
    assert [r.recordId for r in found] == [f"shard-{name}" for name in expected]


@pytest.mark.parametrize("size", [1, 100, 255_900, 255_960, 300_000, 4_100_000])
def test_of_a_shard_only_the_beginning_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """As much as the records take, in steps; a line that a step cuts off is read whole."""
    run = a_run(tmp_path)
    shard = Shard("shard-09", 20, 0, "x")
    run.storage.write(layout.shard_key(shard.shard_id), shard_bytes(shard, "x" * size))
    read: list[int] = []
    original = LocalStorage.read_head

    def counted(self: LocalStorage, key: str, max_bytes: int) -> bytes:
        read.append(max_bytes)
        return original(self, key, max_bytes)

    monkeypatch.setattr(LocalStorage, "read_head", counted)
    found = first_records(run.storage, [shard], 3)
    assert [r.recordId for r in found] == [f"shard-09-{n}" for n in range(3)]
    assert max(read) <= 10 * max(25_600, 3 * size)


def test_a_record_too_large_for_every_step_is_read_with_its_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last resort is the whole shard."""
    monkeypatch.setattr(records_module, "_HEADS", (10, 20))
    run = a_run(tmp_path)
    assert len(first_records(run.storage, shards_of((3,)), 2)) == 2


def test_line_bytes_are_those_in_the_shard(tmp_path: Path) -> None:
    """What an estimate of tokens per byte is made of."""
    shard = Shard("shard-00", 1, 0, "x")
    told = b'{"recordId":"shard-00-0","modelInput":{"a":"\xc3\xa9"}}\n'
    run = a_run(tmp_path)
    run.storage.write(layout.shard_key(shard.shard_id), told)
    (record,) = first_records(run.storage, [shard], 1)
    assert record.line_bytes == len(told)
    assert record.body == b'{"a":"\xc3\xa9"}'


def test_a_canary_that_is_answered_passes_and_is_not_asked_again(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """What it came to, and its tokens, are in the run folder; the bodies are the shards'."""
    run = a_run(tmp_path)
    seen: list[Progress] = []
    llm = model(run, lambda _: answer())
    assert is_canary_due(run)
    canary = ask_canary(run, shards_of((3, 3, 3)), clock, seen.append)
    assert not is_canary_due(run)
    assert (canary.asked, canary.answered, canary.refused) == (5, 5, 0)
    assert (canary.input_tokens, canary.output_tokens) == (150, 35)
    assert read_tries(run.storage) == (canary,)
    assert seen == [Progress("canary", 5, 5, "answered")]
    assert all(f"/model/{CLAUDE.replace(':', '%3A')}/invoke" in r.url for r in llm.sent)
    assert sorted(llm.asked)[:2] == ["shard-00-0", "shard-00-1"]


@pytest.mark.parametrize(
    ("refused", "share", "passes"),
    [(1, 0.2, True), (2, 0.2, False), (0, 0.0, True), (1, 0.0, False), (4, 0.8, True)],
)
def test_some_may_be_refused(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock, refused: int, share: float,
    passes: bool,
) -> None:  # fmt: skip
    """A share of those that got a reply; beyond it no batch job is submitted."""
    run = a_run(tmp_path, (5,), max_error_share=share)
    bad = {f"shard-00-{n}" for n in range(refused)}
    model(run, lambda p: aws_failure(*REFUSED) if p in bad else answer())
    if passes:
        assert ask_canary(run, shards_of((5,)), clock).refused == refused
    else:
        with pytest.raises(CanaryError, match=rf"{refused} of 5 records were refused"):
            ask_canary(run, shards_of((5,)), clock)
    assert is_canary_due(run) is not passes


def test_a_refusal_groups_what_was_said_and_shows_no_prompt(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """Count, code, the service's words and record ids; the file says the same."""
    run = a_run(tmp_path, (5,))

    def rule(record_id: str) -> Reply:
        if record_id.endswith("4"):
            return THROTTLED
        return aws_failure(*REFUSED, f"content '{QUESTION}{record_id}': Field required")

    model(run, rule)
    with pytest.raises(CanaryError) as caught:
        ask_canary(run, shards_of((5,)), clock)
    said = str(caught.value)
    assert said.startswith(
        f"canary: 4 of 5 records were refused by {CLAUDE}, and no batch job was submitted:\n"
        "  4 with 400 ValidationException: content '…': Field required (records shard-00-0, "
        "shard-00-1, shard-00-2, shard-00-3)\n"
        "  1 with 429 ThrottlingException: slower (records shard-00-4)\n"
    )
    assert "new run_uri" in said
    assert "raise canary.max_error_share (it is 0.2)" in said
    (tried,) = read_tries(run.storage)
    assert tried.failures[0] == CanaryFailure(
        4,
        400,
        "ValidationException",
        "content '…': Field required",
        ("shard-00-0", "shard-00-1", "shard-00-2", "shard-00-3"),
    )


def test_throttling_is_waited_out(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """It says nothing of the body."""
    run = a_run(tmp_path, (5,))
    met: set[str] = set()

    def rule(record_id: str) -> Reply:
        known = record_id in met
        met.add(record_id)
        return answer() if known else THROTTLED

    model(run, rule)
    assert ask_canary(run, shards_of((5,)), clock).answered == 5
    assert len(clock.waits) == 5


def test_what_is_throttled_to_the_end_counts_for_nothing(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """Neither answered nor refused: the others decide."""
    run = a_run(tmp_path, (5,))
    model(run, lambda p: answer() if p.endswith("0") else THROTTLED)
    canary = ask_canary(run, shards_of((5,)), clock)
    assert (canary.answered, canary.refused, canary.error_share) == (1, 0, 0.0)
    assert [f.count for f in canary.failures] == [4]


def test_a_canary_without_any_reply_proves_nothing(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """Nothing is submitted, and the message says how to do without."""
    run = a_run(tmp_path, (5,))
    model(run, lambda _: THROTTLED)
    with pytest.raises(CanaryError, match=r"none of 5 records got an answer(.|\n)*records: 0"):
        ask_canary(run, shards_of((5,)), clock)
    assert is_canary_due(run)


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        ("AccessDeniedException", 403, "You don't have access to the model."),
        ("ValidationException", 400, "Invocation of it with on-demand throughput isn't supported."),
        ("ValidationException", 400, "The provided model identifier is invalid."),
    ],
)
def test_a_model_that_takes_no_single_calls_is_said(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock, code: str, status: int,
    message: str,
) -> None:  # fmt: skip
    """With the two keys that help; it is no verdict on the records, and none is written."""
    run = a_run(tmp_path, (5,))
    model(run, lambda _: aws_failure(code, status, message))
    with pytest.raises(CanaryError) as caught:
        ask_canary(run, shards_of((5,)), clock)
    said = str(caught.value)
    assert f"{CLAUDE} answers nobody on demand: {message}" in said
    assert "set canary.model_id to" in said
    assert "canary.records: 0" in said
    assert read_tries(run.storage) == ()


def test_another_model_may_be_asked(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """One of the same family, such as a profile of the model."""
    run = a_run(tmp_path, (5,), model_id=f"us.{CLAUDE}")
    llm = model(run, lambda _: answer())
    assert ask_canary(run, shards_of((5,)), clock).model_id == f"us.{CLAUDE}"
    assert all("/model/us.anthropic" in request.url for request in llm.sent)


@pytest.fixture
def failed(tmp_path: Path, model: Callable[..., Model], clock: FakeClock) -> Run:
    """Return a run whose model refused two of five records when it was asked first."""
    run = a_run(tmp_path, (5,))
    bad = {"shard-00-0", "shard-00-1"}
    model(run, lambda p: aws_failure(*REFUSED) if p in bad else answer())
    with pytest.raises(CanaryError):
        ask_canary(run, shards_of((5,)), clock)
    bad.clear()
    return run


def test_a_canary_that_failed_is_asked_again_and_every_try_is_kept(
    failed: Run, clock: FakeClock
) -> None:
    """What was paid for it adds up."""
    ask_canary(failed, shards_of((5,)), clock)
    assert [(t.answered, t.output_tokens) for t in read_tries(failed.storage)] == [(3, 21), (5, 35)]
    assert not is_canary_due(failed)


def test_more_patience_lets_a_canary_pass_that_was_asked(failed: Run, tmp_path: Path) -> None:
    """Judged by the config as it is now, without asking again; switched off, it is not due."""
    assert is_canary_due(failed)
    for changed in ({"max_error_share": 0.4}, {"records": 0}):
        assert not is_canary_due(replace(failed, config=make_config(str(tmp_path), canary=changed)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "is not what a canary came to; delete it"),
        (b"[]", "is not what a canary came to; delete it"),
        (b'{"format": 1, "tries": [{}]}', "is not what a canary came to; delete it"),
        (b'{"format": 2, "tries": []}', "has format 2, not 1"),
    ],
)
def test_a_damaged_file_is_not_taken_for_a_pass(tmp_path: Path, text: bytes, said: str) -> None:
    """The message names it."""
    run = a_run(tmp_path)
    run.storage.write(layout.CANARY_FILE, text)
    with pytest.raises(RunFolderError, match=rf"canary\.json: {said}"):
        is_canary_due(run)
