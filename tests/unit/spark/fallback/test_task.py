"""The task of the fallback: whoever else runs, no record is asked twice. Calls are counted."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import FallbackConfig
from bedrock_spark.errors import InvokeRecordError, InvokeRetryableError, RunHeldError
from bedrock_spark.families.ceilings import Ceiling
from bedrock_spark.invoke.caller import Answered
from bedrock_spark.invoke.refusals import ALIKE
from bedrock_spark.outputs.ask_again import AskAgain
from bedrock_spark.outputs.reconciled_shard import digest_of_ids
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.claims import TaskClaim, open_round
from bedrock_spark.spark.fallback import task as task_module
from bedrock_spark.spark.fallback.parts import Part, name_of, split_into_parts
from bedrock_spark.spark.fallback.task import FallbackTask, TaskResult
from bedrock_spark.storage import LocalStorage
from tests.unit.collect_shard import (
    JOB_FOLDER,
    LINES_KEY,
    PREPARE_ID,
    SHARD,
    collect_shard,
    completed_job,
)
from tests.unit.fakes import FakeClock

IDS = [f"{n:011d}" for n in range(90)]
ROUND = "round"


class FakeCaller:
    """A model that counts the calls for each record.

    before: called before each answer, with the record's id
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda record_id: None
        self._lock = threading.Lock()

    def answer(self, body: bytes, limit: int | None = None) -> Answered:
        record_id = json.loads(body)["n"]
        with self._lock:
            self.calls[record_id] += 1
        self.before(record_id)
        return Answered(b'{"a":1}', None)


@pytest.fixture
def caller(clock: FakeClock) -> FakeCaller:
    return FakeCaller(clock)


class Folder:
    """A run folder with one shard of 90 records."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.storage = LocalStorage(self.path)
        lines = (json.dumps({"recordId": i, "modelInput": {"n": i}}) + "\n" for i in IDS)
        self.storage.write(layout.shard_key(SHARD, PREPARE_ID), "".join(lines).encode())

    def collect(self, files: dict[str, bytes] | None = None, **counts: int) -> int:
        """Collect the shard as it is now; return the number of unanswered records."""
        jobs = [completed_job(1, JOB_FOLDER, **counts)] if counts else []
        reconciled, _ = collect_shard(self.path, IDS, files or {}, jobs)
        self.digest = reconciled.unanswered_digest
        return reconciled.unanswered_records

    def answer(self, name: str, ids: Iterable[str], rest: str = '"modelOutput":{}') -> None:
        lines = "".join(f'{{"recordId":"{i}",{rest}}}\n' for i in ids)
        self.storage.write(layout.fallback_key(SHARD, name), lines.encode())

    def parts(self, tasks: int = 1) -> list[tuple[Part, ...]]:
        return split_into_parts({SHARD: len(IDS)}, tasks, digests={SHARD: self.digest})


@pytest.fixture
def folder(tmp_path: Path, clock: FakeClock) -> Folder:
    folder = Folder(tmp_path)
    open_round(folder.storage, ROUND, clock)
    folder.collect()
    return folder


NewTask = Callable[[], FallbackTask]


@pytest.fixture
def new_task(
    folder: Folder, clock: FakeClock, caller: FakeCaller, monkeypatch: pytest.MonkeyPatch
) -> NewTask:
    """Return an attempt of a task, whose calls `caller` counts."""
    monkeypatch.setattr(FallbackTask, "_caller", lambda *_: caller)

    def new_task(round_id: str = ROUND) -> FallbackTask:
        config = FallbackConfig(model_id="m", concurrency=4)
        return FallbackTask(
            *(folder.storage, AwsSettings("us-east-1"), config, "m", "raw", 40),
            *("run-1", PREPARE_ID, round_id),
            clock=clock,
            monotonic=clock.now,
        )

    return new_task


class SecondAttempt(FakeClock):
    """Another attempt of the task, in a thread. It is the clock by which that attempt waits.

    It begins while the first attempt asks IDS[5], and waits until `end` is called.
    """

    def __init__(self, new_task: NewTask, parts: tuple[Part, ...]) -> None:
        super().__init__()
        self._new_task, self._parts = new_task, parts
        self._results: list[TaskResult] = []
        self._waits, self.first_has_ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def sleep(self, seconds: float) -> None:
        self._waits.set()
        assert self.first_has_ended.wait(60)

    def _run(self) -> None:
        try:
            self._results.append(replace(self._new_task(), clock=self)(self._parts))
        finally:
            self._waits.set()

    def begin(self, record_id: str) -> None:
        """Begin at the call for IDS[5]; return when the second attempt waits."""
        if record_id == IDS[5] and not self._waits.is_set():
            self._thread.start()
            assert self._waits.wait(60)

    def end(self) -> TaskResult:
        """Let the second attempt go on; return its result."""
        self.first_has_ended.set()
        self._thread.join()
        (result,) = self._results
        return result


def test_two_attempts_at_once_pay_for_each_record_once(
    folder: Folder, new_task: NewTask, caller: FakeCaller
) -> None:
    """As speculation starts them, or a lost executor that lives on: the second one waits."""
    (parts,) = folder.parts()
    second = SecondAttempt(new_task, parts)
    caller.before = second.begin
    first = new_task()(parts)
    assert second.end() == first
    assert caller.calls == Counter(IDS)
    assert first.asked == len(IDS)


def test_an_attempt_that_waited_looks_again_when_it_takes_over(
    folder: Folder, new_task: NewTask, caller: FakeCaller
) -> None:
    """What it read before it had the claim lacks the answers that the other attempt wrote since."""
    (parts,) = folder.parts()
    second = SecondAttempt(new_task, parts)

    def fail_late(record_id: str) -> None:
        second.begin(record_id)
        if record_id == IDS[60] and not second.first_has_ended.is_set():
            raise OSError("disk full")

    caller.before = fail_late
    with pytest.raises(OSError, match="disk full"):
        new_task()(parts)
    asked_before = caller.calls.total()
    # Of the calls of the first attempt, only the one that failed is made again.
    assert second.end().asked == len(IDS) - asked_before + 1
    assert caller.calls == Counter(IDS) + Counter([IDS[60]])


def test_an_attempt_that_lost_its_claim_stops(
    folder: Folder, new_task: NewTask, clock: FakeClock, caller: FakeCaller
) -> None:
    """It had no network for a minute. Its answers are written, and only its calls in flight and

    the answers that are not written yet can be paid for again.
    """
    (parts,) = folder.parts()

    def lose(record_id: str) -> None:
        if record_id == IDS[30]:
            clock.time += 61

    caller.before = lose
    with pytest.raises(RunHeldError, match="could not be renewed"):
        new_task()(parts)
    asked_before = caller.calls.total()
    assert 31 <= asked_before <= 31 + 4
    caller.before = lambda record_id: None
    result = new_task()(parts)
    assert result.asked == len(IDS) - asked_before
    assert caller.calls == Counter(IDS)


def test_an_attempt_that_another_took_over_from_stops(
    folder: Folder, new_task: NewTask, clock: FakeClock, caller: FakeCaller
) -> None:
    """At its next renewal."""
    (parts,) = folder.parts()
    beats: list[Callable[[], None]] = []

    class OwnBeats(task_module.Renewal):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            beats.append(self.beat)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_module, "Renewal", OwnBeats)

        taken_over = threading.Event()

        def take_over(record_id: str) -> None:
            if record_id == IDS[10]:
                open_round(folder.storage, "another", clock)
                beats[0]()
                taken_over.set()
            elif record_id > IDS[10]:
                assert taken_over.wait(60)

        caller.before = take_over
        with pytest.raises(RunHeldError):
            new_task()(parts)
    assert caller.calls.total() <= 11 + 4


def test_a_claim_of_a_failed_attempt_is_free(
    folder: Folder, new_task: NewTask, clock: FakeClock, caller: FakeCaller
) -> None:
    """Spark repeats the task, which need not wait."""
    (parts,) = folder.parts()

    def fail(record_id: str) -> None:
        raise OSError("disk full")

    caller.before = fail
    with pytest.raises(OSError, match="disk full"):
        new_task()(parts)
    caller.before = lambda record_id: None
    assert new_task()(parts).asked == len(IDS)
    assert clock.waits == []


def test_a_collect_meanwhile_moves_no_part(
    folder: Folder, new_task: NewTask, caller: FakeCaller
) -> None:
    """The list of unanswered records is another one then: tasks that begin later ask nothing of it.

    They say how many records they left out, so that the shard is collected and asked again.
    """
    first, second, third = folder.parts(3)
    assert new_task()(first).asked == 30
    folder.collect()  # somebody else's
    for parts in (second, third):
        assert new_task()(parts) == TaskResult(0, 0, None, 30)
    assert folder.collect() == 60
    (rest,) = split_into_parts({SHARD: 60}, 1, digests={SHARD: folder.digest})
    assert new_task()(rest).asked == 60
    assert caller.calls == Counter(IDS)


def test_records_that_a_job_answered_since_are_not_asked(
    folder: Folder, new_task: NewTask, caller: FakeCaller
) -> None:
    """Collect ran while the job did. The shard must be collected again first."""
    answers = "".join(f'{{"recordId":"{i}","modelOutput":{{"a":1}}}}\n' for i in IDS)
    folder.storage.write(LINES_KEY, answers.encode())
    (parts,) = folder.parts()
    assert new_task()(parts) == TaskResult(0, 0, None, len(IDS))
    assert caller.calls.total() == 0
    assert folder.collect(succeeded=90) == 0


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_records_of_a_shard_whose_output_changed_are_not_asked(
    folder: Folder, new_task: NewTask, caller: FakeCaller, change: str
) -> None:
    """Same names with other bytes, and files that are gone."""
    folder.collect({LINES_KEY: b"\n"})
    folder.answer("1", IDS[:10])
    folder.collect()
    if change == "replaced":
        folder.storage.write(LINES_KEY, b"\n\n\n")
    else:
        folder.storage.delete([layout.fallback_key(SHARD, "1")])
    parts = [Part(SHARD, 0, 80, folder.digest)]
    assert new_task()(parts).changed == 80
    assert caller.calls.total() == 0


def test_what_an_earlier_attempt_wrote_is_not_asked_again(
    folder: Folder, new_task: NewTask, caller: FakeCaller
) -> None:
    """Answers, and errors that would come again; a passing error is asked again."""
    folder.answer("1", IDS[:10])
    folder.answer("2", IDS[10:20], '"error":{"errorCode":400,"errorMessage":"no"}')
    folder.answer("3", IDS[20:30], '"error":{"errorCode":500,"errorMessage":"no"}')
    (parts,) = folder.parts()
    assert new_task()(parts).asked == 70
    assert caller.calls == Counter(IDS[20:])


def test_claims_are_no_answers(folder: Folder, new_task: NewTask) -> None:
    """Collect does not list them: a renewal must not make it read a shard again."""
    (parts,) = folder.parts()
    TaskClaim(folder.storage, ROUND, name_of(parts), FakeClock()).acquire()
    keys = [stored.key for stored in folder.storage.list("")]
    (key,) = [key for key in keys if name_of(parts) in key]
    assert not key.startswith((layout.FALLBACK, layout.OUTPUT))


def test_errors_of_records_are_results(
    folder: Folder, new_task: NewTask, caller: FakeCaller
) -> None:
    """The task goes on; collect reads the errors like any output."""

    def refuse(record_id: str) -> None:
        if record_id in IDS[:5]:
            raise InvokeRecordError("no", error_code=400)
        if record_id in IDS[5:8]:
            raise InvokeRetryableError("later", error_code=500)

    caller.before = refuse
    (parts,) = folder.parts()
    assert new_task()(parts).asked == 90
    assert folder.collect() == 3


def refuse_all(record_id: str) -> None:
    raise InvokeRecordError("Operation not allowed", error_code=400, error_type="V")


def test_a_refusal_of_the_account_makes_no_record_final(
    folder: Folder, new_task: NewTask, caller: FakeCaller
) -> None:
    """The task stops after a few calls. Once the account is in order, all records are asked."""
    caller.before = refuse_all
    (parts,) = folder.parts()
    result = new_task()(parts)
    assert ALIKE <= result.asked <= ALIKE + 4
    assert (result.answered, result.is_stopped) == (0, True)
    assert result.refused == {"400 V: operation not allowed": result.asked}
    assert set(result.messages.values()) == {"Operation not allowed"}
    assert folder.collect() == len(IDS)
    caller.before = lambda record_id: None
    open_round(folder.storage, "next", FakeClock())
    (parts,) = folder.parts()
    assert new_task("next")(parts).answered == len(IDS)
    assert folder.collect() == 0


@pytest.mark.parametrize("answered", [0, 1, 89])
def test_a_refusal_is_final_if_the_model_answers_other_records(
    folder: Folder, new_task: NewTask, caller: FakeCaller, answered: int
) -> None:
    """In the same task, before or after it; or in an earlier round, as the task is told."""

    def refuse(record_id: str) -> None:
        if record_id in IDS[:5]:
            refuse_all(record_id)
        if int(record_id) >= 5 + answered:
            raise InvokeRetryableError("later", error_code=500)

    caller.before = refuse
    (parts,) = folder.parts()
    result = new_task()(parts)
    later = max(0, len(IDS) - 5 - answered)
    assert result.refused == ({} if answered else {"400 V: operation not allowed": 5})
    assert folder.collect() == later + (0 if answered else 5)
    open_round(folder.storage, "next", FakeClock())
    if not answered:
        (parts,) = folder.parts()
        assert replace(new_task("next"), has_answered=True)(parts).refused == {}
        assert folder.collect() == later


def parts_by_name() -> Iterator[tuple[str, tuple[Part, ...]]]:
    digests = [digest_of_ids(IDS), digest_of_ids(IDS[1:])]
    for digest in digests:
        for tasks in (1, 2, 3):
            for parts in split_into_parts({SHARD: 90}, tasks, digests={SHARD: digest}):
                yield name_of(parts), tuple(parts)


def test_tasks_of_other_records_have_other_names() -> None:
    """A claim is the claim on these records and no others."""
    names = list(parts_by_name())
    assert len({name for name, _ in names}) == len({parts for _, parts in names}) == len(names)


def test_records_that_were_cut_off_are_asked_with_their_own_limit(
    folder: Folder, new_task: NewTask, caller: FakeCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call knows the limit, and nothing else in the body changes."""
    bodies = {i: {"n": i, "max_tokens": 10, "x": [1.50]} for i in IDS}
    lines = (json.dumps({"recordId": i, "modelInput": body}) for i, body in bodies.items())
    folder.storage.write(layout.shard_key(SHARD, PREPARE_ID), "\n".join(lines).encode())
    cut = {"content": [{"type": "text", "text": "a"}], "stop_reason": "max_tokens"}
    once, twice = IDS[:3], IDS[3:5]
    again = AskAgain(ceiling=Ceiling(("max_tokens",), 10), most=30)
    for name, ids in (("1", [*once, *twice]), ("2", twice)):
        folder.answer(name, ids, f'"modelOutput":{json.dumps(cut)}')
    reconciled, _ = collect_shard(folder.path, IDS, {}, again=again)
    assert reconciled.again_records == len([*once, *twice])
    asked: dict[str, tuple[Any, int | None]] = {}
    answer = caller.answer

    def note(body: bytes, limit: int | None = None) -> Answered:
        decoded = json.loads(body)
        asked[decoded["n"]] = decoded, limit
        return answer(body, limit)

    monkeypatch.setattr(caller, "answer", note)
    part = Part(SHARD, 0, reconciled.unanswered_records, reconciled.unanswered_digest)
    replace(new_task(), limit_path=("max_tokens",))([part])
    limits = {**dict.fromkeys(IDS, None), **dict.fromkeys(once, 20), **dict.fromkeys(twice, 30)}
    assert asked.keys() == bodies.keys()
    for record_id, (body, limit) in asked.items():
        assert limit == limits[record_id]
        assert body == {**bodies[record_id], "max_tokens": limit or 10}


def test_a_line_notes_the_guardrail_of_its_call(folder: Folder, new_task: NewTask) -> None:
    """The config may have another one when the line is collected."""
    (parts,) = folder.parts()
    guardrail = {"id": "g", "version": "2"}
    task = new_task()
    config = FallbackConfig.model_validate({**task.config.model_dump(), "guardrail": guardrail})
    replace(task, config=config)(parts)
    lines = [
        json.loads(line)
        for stored in folder.storage.list(layout.fallback_prefix(SHARD))
        for line in folder.storage.read(stored.key).splitlines()
    ]
    assert [line["guardrail"] for line in lines] == [guardrail] * len(IDS)


@pytest.mark.parametrize(
    ("message", "unanswered"),
    [("max_tokens: 20 > 10, which is the maximum", 0), ("Operation not allowed", len(IDS))],
)
def test_a_limit_that_the_model_refuses_is_final_for_its_records(
    folder: Folder, new_task: NewTask, caller: FakeCaller, message: str, unanswered: int
) -> None:
    """Batch jobs have answered all others, so nothing else shows that the account is in order."""
    lines = (json.dumps({"recordId": i, "modelInput": {"n": i, "max_tokens": 10}}) for i in IDS)
    folder.storage.write(layout.shard_key(SHARD, PREPARE_ID), "\n".join(lines).encode())
    cut = {"content": [{"type": "text", "text": "a"}], "stop_reason": "max_tokens"}
    folder.answer("0", IDS, f'"modelOutput":{json.dumps(cut)}')
    again = AskAgain(ceiling=Ceiling(("max_tokens",), 10), most=30)
    reconciled, _ = collect_shard(folder.path, IDS, {}, again=again)

    def refuse(record_id: str) -> None:
        raise InvokeRecordError(message, error_code=400, error_type="V")

    caller.before = refuse
    part = Part(SHARD, 0, reconciled.unanswered_records, reconciled.unanswered_digest)
    result = replace(new_task(), limit_path=("max_tokens",))([part])
    assert (result.is_stopped, bool(result.refused)) == (bool(unanswered), bool(unanswered))
    reconciled, rows = collect_shard(folder.path, IDS, {}, again=again)
    assert reconciled.unanswered_records == unanswered
    assert {row["outcome"] for row in rows} == {"truncated"}
