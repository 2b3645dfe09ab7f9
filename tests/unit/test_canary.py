"""The canary: which records it asks, what counts as refused, its messages and its file."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from bedrock_spark.aws import profiles
from bedrock_spark.aws.clients import runtime_client
from bedrock_spark.canary import ask as ask_module
from bedrock_spark.canary import ask_canary, is_canary_due
from bedrock_spark.errors import CanaryError, RunFolderError, StorageError
from bedrock_spark.invoke.kept_calls import find_kept
from bedrock_spark.progress import Progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder import records as records_module
from bedrock_spark.run_folder.canary_results import Canary, CanaryFailure, add_try, read_tries
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.records import first_records
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import (
    CLAUDE,
    CLAUDE_MODEL,
    CannedHttp,
    FakeClock,
    Reply,
    aws_failure,
    make_config,
)

REFUSED = ("ValidationException", 400)
QUESTION = "what of "
TRY = Canary("m", 1.8e9, 5, 5, 0, 500, 30, 7)
THROTTLED = aws_failure("ThrottlingException", 429, "slower")


class Model(CannedHttp):
    """A model that is asked from several threads: it replies by the id of the record."""

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
    """Return a function that makes the run's model reply by a rule, until the test ends."""
    opened: list[Model] = []

    def reply_by(run: Run, rule: Callable[[str], Any], kind: type[Model] = Model) -> Model:
        client = runtime_client(run.aws, 300, 5)
        opened.append(kind(client, rule))
        return opened[-1]

    yield reply_by
    for opened_model in opened:
        opened_model.close()


def test_the_answers_of_the_canary_are_kept_in_the_store(
    tmp_path: Path, model: Callable[..., Model]
) -> None:
    """Those that are ok, also if the canary refuses the run; a later preview or run finds them."""
    store = {"uri": str(tmp_path / "store")}
    run = begin_run(tmp_path / "run", (4,), answers=store, max_error_share=0)
    rule = {"shard-00-1": cut_off(), "shard-00-2": (400, {"message": "no"})}
    model(run, lambda record_id: rule.get(record_id, answer(record_id)))
    with pytest.raises(CanaryError, match="refused by"):
        ask_canary(run, shards_of((4,)), FakeClock())
    bodies = [line.body for line in first_records(run.storage, shards_of((4,)), 4)]
    found = find_kept(run.config, run.aws, bodies, 1.8e9)
    assert set(found) == {bodies[0], bodies[3]}
    assert {kept.run_id for kept in found.values()} == {run.run_id}
    assert json.loads(found[bodies[3]].output)["content"][0]["text"] == "shard-00-3"


@pytest.mark.parametrize("is_refused", [True, False])
def test_a_store_that_fails_hides_no_refusal(
    tmp_path: Path,
    model: Callable[..., Model],
    caplog: pytest.LogCaptureFixture,
    is_refused: bool,
) -> None:
    """Without one, the run ends before any job, and the answers are not paid for again."""
    (tmp_path / "store").write_bytes(b"a file, and no folder")
    store = {"uri": str(tmp_path / "store")}
    run = begin_run(tmp_path / "run", (4,), answers=store, max_error_share=0)
    rule = {"shard-00-2": (400, {"message": "no"})} if is_refused else {}
    model(run, lambda record_id: rule.get(record_id, answer(record_id)))
    kind, match = (CanaryError, "refused by") if is_refused else (StorageError, "store")
    with pytest.raises(kind, match=match):
        ask_canary(run, shards_of((4,)), FakeClock())
    assert is_canary_due(run) == is_refused == ("are not kept" in caplog.text)
    assert len(read_tries(run.storage)) == 1


def test_without_arrow_the_canary_says_that_it_keeps_nothing(
    tmp_path: Path,
    model: Callable[..., Model],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A machine that only submits and watches jobs needs no more packages than before."""
    run = begin_run(tmp_path / "run", (2,), answers={"uri": str(tmp_path / "store")})
    model(run, answer)
    monkeypatch.setattr(ask_module, "find_spec", lambda _: None)
    assert ask_canary(run, shards_of((2,)), FakeClock()).answered == 2
    assert "pip install 'bedrock-spark[cluster]'" in caplog.text
    assert not (tmp_path / "store").exists()


def cut_off(text: str = "half an") -> Reply:
    """Return an answer that the limit of tokens cut off."""
    status, body = answer(text)
    return status, {**body, "stop_reason": "max_tokens"}


def begin_run(
    folder: Path,
    records: tuple[int, ...] = (3, 3, 3),
    answers: dict[str, Any] | None = None,
    **canary: Any,
) -> Run:
    """Begin a run and write its shards. The prompt of a record is its id.

    records: the number of records of each shard
    answers, canary: the config sections
    """
    store = {} if answers is None else {"answers": answers}
    run = open_run(make_config(str(folder), canary=canary, **store), FakeClock())
    for shard in shards_of(records):
        run.storage.write(shard.key, shard_bytes(shard))
    return run


def shards_of(records: tuple[int, ...]) -> list[Shard]:
    return [Shard(f"shard-{i:02d}", count, 0, "x") for i, count in enumerate(records)]


def shard_bytes(shard: Shard, extra: str = "") -> bytes:
    ids = [f"{shard.shard_id}-{n}" for n in range(shard.records)]
    return b"".join(shard_line(record_id, record_id + extra) for record_id in ids)


def shard_line(record_id: str, prompt: str) -> bytes:
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
def test_the_records_are_spread_over_the_shards(
    tmp_path: Path, records: tuple[int, ...], count: int, expected: list[str]
) -> None:
    """They are the first ones of each shard; more of a shard if there are few shards."""
    run = begin_run(tmp_path, records)
    chosen = first_records(run.storage, shards_of(records), count)
    assert [r.recordId for r in chosen] == [f"shard-{name}" for name in expected]


@pytest.mark.parametrize("size", [1, 100, 255_900, 255_960, 300_000, 4_100_000])
def test_only_the_beginning_of_a_shard_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """In steps of growing size, until enough records are complete."""
    run = begin_run(tmp_path)
    shard = Shard("shard-09", 20, 0, "x")
    run.storage.write(shard.key, shard_bytes(shard, "x" * size))
    sizes: list[int] = []
    original = LocalStorage.read_range

    def read_range(self: LocalStorage, key: str, start: int, stop: int) -> bytes:
        sizes.append(stop - start)
        return original(self, key, start, stop)

    monkeypatch.setattr(LocalStorage, "read_range", read_range)
    records = first_records(run.storage, [shard], 3)
    assert [r.recordId for r in records] == [f"shard-09-{n}" for n in range(3)]
    assert max(sizes) <= 10 * max(25_600, 3 * size)


def test_the_whole_shard_is_read_if_no_step_suffices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That happens if the records are larger than the largest step."""
    monkeypatch.setattr(records_module, "_HEADS", (10, 20))
    run = begin_run(tmp_path)
    assert len(first_records(run.storage, shards_of((3,)), 2)) == 2


def test_line_bytes_is_the_size_of_the_line_in_the_shard(tmp_path: Path) -> None:
    """The estimate of tokens per byte is based on it."""
    shard = Shard("shard-00", 1, 0, "x")
    data = b'{"recordId":"shard-00-0","modelInput":{"a":"\xc3\xa9"}}\n'
    run = begin_run(tmp_path)
    run.storage.write(shard.key, data)
    (record,) = first_records(run.storage, [shard], 1)
    assert record.line_bytes == len(data)
    assert record.body == b'{"a":"\xc3\xa9"}'


def test_an_answered_canary_passes_and_is_not_asked_again(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """Its counts and tokens are in the run folder; its bodies are those in the shards."""
    run = begin_run(tmp_path)
    seen: list[Progress] = []
    llm = model(run, lambda _: answer())
    assert is_canary_due(run)
    canary = ask_canary(run, shards_of((3, 3, 3)), clock, seen.append)
    assert not is_canary_due(run)
    assert (canary.asked, canary.answered, canary.refused) == (5, 5, 0)
    assert (canary.input_tokens, canary.output_tokens) == (150, 35)
    assert read_tries(run.storage) == (canary,)
    assert [(p.done, p.total) for p in seen] == [(0, 5), (5, 5)]
    assert seen[-1].detail == "5 answered"
    assert all(f"/model/{CLAUDE.replace(':', '%3A')}/invoke" in r.url for r in llm.sent)
    assert sorted(llm.asked)[:2] == ["shard-00-0", "shard-00-1"]


@pytest.mark.parametrize(
    ("refused", "share", "passes"),
    [(1, 0.2, True), (2, 0.2, False), (0, 0.0, True), (1, 0.0, False), (4, 0.8, True)],
)
def test_a_share_of_the_records_may_be_refused(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock, refused: int, share: float,
    passes: bool,
) -> None:  # fmt: skip
    """Of the records that got a reply. If more are refused, no batch job is submitted."""
    run = begin_run(tmp_path, (5,), max_error_share=share)
    bad = {f"shard-00-{n}" for n in range(refused)}
    model(run, lambda p: aws_failure(*REFUSED) if p in bad else answer())
    if passes:
        assert ask_canary(run, shards_of((5,)), clock).refused == refused
    else:
        with pytest.raises(CanaryError, match=rf"{refused} of 5 records were refused"):
            ask_canary(run, shards_of((5,)), clock)
    assert is_canary_due(run) is not passes


def test_a_refusal_groups_equal_errors_and_shows_no_prompt(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """It has the count, code, message and record ids of each error, as canary.json does."""
    run = begin_run(tmp_path, (5,))

    def rule(record_id: str) -> Reply:
        if record_id.endswith("4"):
            return THROTTLED
        return aws_failure(*REFUSED, f"content '{QUESTION}{record_id}': Field required")

    model(run, rule)
    with pytest.raises(CanaryError) as caught:
        ask_canary(run, shards_of((5,)), clock)
    message = str(caught.value)
    assert message.startswith(
        f"canary: 4 of 5 records were refused by {CLAUDE}, and no batch job was submitted:\n"
        "  4 with 400 ValidationException: content '…': Field required (records shard-00-0, "
        "shard-00-1, shard-00-2, shard-00-3)\n"
        "  1 with 429 ThrottlingException: slower (records shard-00-4)\n"
    )
    assert "new run_uri" in message
    assert "raise canary.max_error_share (it is 0.2)" in message
    (canary,) = read_tries(run.storage)
    assert canary.failures[0] == CanaryFailure(
        4,
        400,
        "ValidationException",
        "content '…': Field required",
        ("shard-00-0", "shard-00-1", "shard-00-2", "shard-00-3"),
    )


def test_a_throttled_record_is_retried(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """A 429 says nothing about the body."""
    run = begin_run(tmp_path, (5,))
    throttled: set[str] = set()

    def rule(record_id: str) -> Reply:
        if record_id in throttled:
            return answer()
        throttled.add(record_id)
        return THROTTLED

    model(run, rule)
    assert ask_canary(run, shards_of((5,)), clock).answered == 5
    assert len(clock.waits) == 5


def test_records_that_stay_throttled_do_not_count(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """They are neither answered nor refused, so the other records decide."""
    run = begin_run(tmp_path, (5,))
    model(run, lambda p: answer() if p.endswith("0") else THROTTLED)
    canary = ask_canary(run, shards_of((5,)), clock)
    assert (canary.answered, canary.refused, canary.error_share) == (1, 0, 0.0)
    assert [f.count for f in canary.failures] == [4]


def test_a_canary_without_any_reply_does_not_pass(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """The message says how to switch the canary off."""
    run = begin_run(tmp_path, (5,))
    model(run, lambda _: THROTTLED)
    with pytest.raises(CanaryError, match=r"none of 5 records got an answer(.|\n)*records: 0"):
        ask_canary(run, shards_of((5,)), clock)
    assert is_canary_due(run)


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("AccessDeniedException", 403, "You don't have access to the model."),
        ("ValidationException", 400, "Invocation of it with on-demand throughput isn't supported."),
        ("ValidationException", 400, "The provided model identifier is invalid."),
    ],
)
def test_a_model_that_accepts_no_single_calls_is_an_error(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock, code: str, status: int,
    reason: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The message names the two config keys that help, and no try is written."""
    served = [f"us.{CLAUDE_MODEL}", f"global.{CLAUDE_MODEL}"]
    monkeypatch.setattr(profiles, "profiles_of", lambda *_: served)
    run = begin_run(tmp_path, (5,))
    model(run, lambda _: aws_failure(code, status, reason))
    with pytest.raises(CanaryError) as caught:
        ask_canary(run, shards_of((5,)), clock)
    message = str(caught.value)
    assert f"{CLAUDE} cannot be called on demand: {reason}" in message
    assert "set canary.model_id to" in message
    assert "canary.records: 0" in message
    assert (f"This Region has {', '.join(served)}." in message) == ("on-demand" in reason)
    assert read_tries(run.storage) == ()


def test_what_was_answered_before_the_access_ended_is_counted_and_kept(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """It is paid for. However few records were refused, the canary has not passed."""
    store = {"uri": str(tmp_path / "store")}
    run = begin_run(tmp_path / "run", (5,), answers=store, max_error_share=0.5)
    denied = aws_failure("AccessDeniedException", 403, "You don't have access to the model.")
    model(run, lambda record_id: denied if record_id == "shard-00-3" else answer())
    with pytest.raises(CanaryError, match="cannot be called on demand"):
        ask_canary(run, shards_of((5,)), clock)
    (tried,) = read_tries(run.storage)
    assert (tried.asked, tried.answered, tried.refused, tried.is_denied) == (5, 4, 1, True)
    assert (tried.input_tokens, tried.output_tokens) == (120, 28)
    assert is_canary_due(run)
    bodies = [line.body for line in first_records(run.storage, shards_of((5,)), 5)]
    assert len(find_kept(run.config, run.aws, bodies, clock.now())) == 4


def test_a_model_that_has_ended_is_not_asked_in_another_way(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """Batch jobs cannot use it either, so the canary is not to be switched off."""
    run = begin_run(tmp_path, (5,))
    reason = "This model version has reached the end of its life. See the docs."
    model(run, lambda _: aws_failure("ResourceNotFoundException", 404, reason))
    with pytest.raises(CanaryError, match="take another one") as caught:
        ask_canary(run, shards_of((5,)), clock)
    assert "canary.records" not in str(caught.value)


def test_the_canary_may_ask_another_model(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """It must be of the same family, such as an inference profile of the model."""
    run = begin_run(tmp_path, (5,), model_id=f"eu.{CLAUDE_MODEL}")
    llm = model(run, lambda _: answer())
    assert ask_canary(run, shards_of((5,)), clock).model_id == f"eu.{CLAUDE_MODEL}"
    assert all("/model/eu.anthropic" in request.url for request in llm.sent)


@pytest.fixture
def failed(tmp_path: Path, model: Callable[..., Model], clock: FakeClock) -> Run:
    """Return a run whose model refused two of five records in the first try of the canary."""
    run = begin_run(tmp_path, (5,))
    bad = {"shard-00-0", "shard-00-1"}
    model(run, lambda p: aws_failure(*REFUSED) if p in bad else answer())
    with pytest.raises(CanaryError):
        ask_canary(run, shards_of((5,)), clock)
    bad.clear()
    return run


def test_a_failed_canary_is_asked_again_and_every_try_is_kept(
    failed: Run, clock: FakeClock
) -> None:
    """Because the tokens of every try were paid for."""
    ask_canary(failed, shards_of((5,)), clock)
    assert [(t.answered, t.output_tokens) for t in read_tries(failed.storage)] == [(3, 21), (5, 35)]
    assert not is_canary_due(failed)


@pytest.mark.parametrize("tries_before", [0, 1])
def test_tries_of_processes_at_once_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tries_before: int
) -> None:
    """Each was paid for. Two others write between the read and the write of the first one."""
    storage = begin_run(tmp_path).storage
    tries = [replace(TRY, asked_at=float(n)) for n in range(4)]
    for each in tries[:tries_before]:
        add_try(storage, each)
    own, *others = tries[tries_before : tries_before + 3]
    waiting, real = list(others), storage.read_version

    def read_version(key: str) -> tuple[bytes, str] | None:
        found = real(key)
        if waiting:
            other = waiting.pop()
            add_try(storage, other)
        return found

    monkeypatch.setattr(storage, "read_version", read_version)
    add_try(storage, own)
    kept = read_tries(storage)
    assert len(kept) == tries_before + 3
    assert {t.asked_at for t in kept} == {t.asked_at for t in tries[: tries_before + 3]}
    assert kept[:tries_before] == tuple(tries[:tries_before])
    assert kept[-1] == own


def test_a_failed_canary_passes_if_the_config_allows_more(failed: Run, tmp_path: Path) -> None:
    """The last try is compared with the current config. A canary of 0 records is never due."""
    assert is_canary_due(failed)
    for canary in ({"max_error_share": 0.4}, {"records": 0}):
        config = make_config(str(tmp_path), canary=canary)
        assert not is_canary_due(replace(failed, config=config))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "is not a file of canary results; delete it"),
        (b"[]", "is not a file of canary results; delete it"),
        (b'{"format": 1, "tries": [{}]}', "is not a file of canary results; delete it"),
        (b'{"format": 2, "tries": []}', "has format 2, not 1"),
    ],
)
def test_a_damaged_canary_file_is_an_error(tmp_path: Path, data: bytes, message: str) -> None:
    """It is never read as a canary that passed; the message names the file."""
    run = begin_run(tmp_path)
    run.storage.write(layout.CANARY_FILE, data)
    with pytest.raises(RunFolderError, match=rf"canary\.json: {message}"):
        is_canary_due(run)


class LimitedModel(Model):
    """A model whose answers need some tokens: fewer cut them off."""

    def __init__(self, client: Any, needs: Callable[[str], int | None]) -> None:
        super().__init__(client, lambda _: answer())
        self.needs = needs
        self.limits: list[int] = []

    def _answer(self, request: AWSPreparedRequest, **more: Any) -> AWSResponse:
        limit = json.loads(bytes(request.body))["max_tokens"]

        def reply(record_id: str) -> Reply:
            self.limits.append(limit)
            needed = self.needs(record_id)
            if needed is None:
                return aws_failure("ValidationException", 400, "no")
            return answer() if limit >= needed else cut_off()

        self._reply = reply
        return super()._answer(request, **more)


def begin_limited_run(folder: Path, request: dict[str, Any], **canary: Any) -> Run:
    """Begin a run of five records whose bodies have a limit of 10 tokens."""
    request = {"prompt": "{{ body }}", "max_tokens": 10, **request}
    run = open_run(make_config(str(folder), canary=canary, request=request), FakeClock())
    body = {"max_tokens": 10, "messages": [{"role": "user", "content": ""}]}
    lines = []
    for n in range(5):
        body = {**body, "messages": [{"role": "user", "content": f"{QUESTION}{n}"}]}
        lines.append(json.dumps({"recordId": str(n), "modelInput": body}).encode() + b"\n")
    run.storage.write(shards_of((5,))[0].key, b"".join(lines))
    return run


def test_too_many_cut_answers_stop_the_run_and_a_limit_is_named(
    tmp_path: Path, model: Callable[..., Any], clock: FakeClock
) -> None:
    """Only the records that were cut off are asked again, until each of them is whole."""
    run = begin_limited_run(tmp_path, {})
    llm = model(run, lambda i: 35 if i in "34" else 1, LimitedModel)
    with pytest.raises(CanaryError) as caught:
        ask_canary(run, shards_of((5,)), clock)
    assert str(caught.value) == (
        f"canary: 2 of 5 answers of {CLAUDE} were cut off or are empty, and no batch job was "
        "submitted. request.max_tokens is 10; with 40 they were whole. Begin a new run with a new "
        "run_uri and request.max_tokens: 40. To accept such answers, set "
        "request.on_truncated: keep, or raise canary.max_truncated_share (it is 0.2)"
    )
    assert sorted(llm.limits) == [10] * 5 + [20] * 2 + [40] * 2
    (canary,) = read_tries(run.storage)
    assert (canary.truncated, canary.enough_tokens, canary.probes) == (2, 40, 4)
    assert canary.probe_tokens == (4 * 30, 4 * 7)
    assert (canary.input_tokens, canary.output_tokens) == (150, 35), "the sample for estimates"
    assert is_canary_due(run), "the next command may not go on, either"


@pytest.mark.parametrize(
    ("change", "is_asked"),
    [({}, False), ({"records": 4}, True), ({"model_id": "us.amazon.nova-lite-v1:0"}, True)],
)
def test_cut_answers_are_paid_for_once(
    tmp_path: Path,
    model: Callable[..., Any],
    clock: FakeClock,
    change: dict[str, Any],
    is_asked: bool,
) -> None:
    """The same command again says the same, and asks only if it would ask something else."""
    run = begin_limited_run(tmp_path, {})
    llm = model(run, lambda i: 35 if i in "34" else 1, LimitedModel)
    with pytest.raises(CanaryError) as first:
        ask_canary(run, shards_of((5,)), clock)
    asked = len(llm.limits)
    canary = run.config.canary.model_copy(update=change)
    again = replace(run, config=run.config.model_copy(update={"canary": canary}))
    if is_asked:
        with suppress(CanaryError):
            ask_canary(again, shards_of((5,)), clock)
        assert len(llm.limits) > asked
        return
    with pytest.raises(CanaryError, match="are not paid for again") as second:
        ask_canary(again, shards_of((5,)), clock)
    assert len(llm.limits) == asked
    assert str(second.value).startswith(str(first.value))
    assert (second.value.asked, second.value.refused) == (5, 0)
    assert len(read_tries(run.storage)) == 1


@pytest.mark.parametrize(
    ("request_", "canary", "passes"),
    [
        ({}, {}, False),
        ({"on_truncated": "keep"}, {}, True),
        ({"on_truncated": "retry", "max_tokens_ceiling": 20}, {}, False),
        ({}, {"max_truncated_share": 0.4}, True),
        ({}, {"max_truncated_share": 0.39}, False),
        ({}, {"records": 2}, True),
    ],
)
def test_what_the_canary_allows(
    tmp_path: Path,
    model: Callable[..., Any],
    clock: FakeClock,
    request_: dict[str, Any],
    canary: dict[str, Any],
    passes: bool,
) -> None:
    """The share is the config's, and a user who keeps cut answers is not stopped."""
    run = begin_limited_run(tmp_path, request_, **canary)
    llm = model(run, lambda i: 35 if i in "34" else 1, LimitedModel)
    if passes:
        result = ask_canary(run, shards_of((5,)), clock)
        assert (result.probes, is_canary_due(run)) == (0, False)
        return
    with pytest.raises(CanaryError, match="were cut off or are empty"):
        ask_canary(run, shards_of((5,)), clock)
    assert max(llm.limits) == (20 if request_ else 40)


def test_a_try_is_judged_by_the_config_of_now(tmp_path: Path) -> None:
    """A user who wants cut answers after all goes on with the same run."""
    cut = replace(TRY, truncated=5)
    run = begin_limited_run(tmp_path, {})
    add_try(run.storage, cut)
    assert is_canary_due(run)
    keeps = make_config(
        str(tmp_path), request={"prompt": "{{ body }}", "max_tokens": 10, "on_truncated": "keep"}
    )
    assert not is_canary_due(replace(run, config=keeps))


@pytest.mark.parametrize(
    ("needed", "advice"),
    [
        (999, "with 80 some were cut off, too. Ask for shorter answers or less reasoning"),
        (None, "request.max_tokens is 10. Raise it, and begin a new run"),
    ],
)
def test_a_limit_that_is_not_found_is_not_named(
    tmp_path: Path, model: Callable[..., Any], clock: FakeClock, needed: int | None, advice: str
) -> None:
    """All tries were cut off, or the model does not accept a higher limit."""
    run = begin_limited_run(tmp_path, {})
    llm = model(run, lambda i: 999, LimitedModel)

    def needs(record_id: str) -> int | None:
        return needed if len(llm.limits) > 5 else 999

    llm.needs = needs
    with pytest.raises(CanaryError) as caught:
        ask_canary(run, shards_of((5,)), clock)
    assert advice in str(caught.value)
    (canary,) = read_tries(run.storage)
    assert canary.enough_tokens is None


def test_refusals_are_counted(
    tmp_path: Path, model: Callable[..., Model], clock: FakeClock
) -> None:
    """They stop no run: the batch job's answers would not differ by the limit."""
    run = begin_run(tmp_path)
    status, body = answer("I will not.")
    model(run, lambda _: (status, {**body, "stop_reason": "refusal"}))
    seen: list[Progress] = []
    canary = ask_canary(run, shards_of((3, 3, 3)), clock, seen.append)
    assert (canary.answered, canary.declined, canary.truncated) == (5, 5, 0)
    assert seen[-1].detail == "5 answered, 5 declined"
