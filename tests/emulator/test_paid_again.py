"""`paid_again`: every record that was paid for more than once, by whatever path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError

from bedrock_emulator import LocalBedrock
from bedrock_emulator.state.paid_answers import BatchAnswer, PaidAnswers, request_digest
from bedrock_emulator.state.store import Store
from bedrock_emulator.state.usage import CallTokens, Usage

from .kit import CLAUDE, Kit, ask

NOTHING: dict[str, Any] = {
    "records": 0,
    "answers": 0,
    "undelivered": 0,
    "by_path": {},
    "examples": [],
}
QUOTAS = {"quotas": {"min_records": 1}}
PATHS = ("batch", "InvokeModel", "InvokeModelWithResponseStream", "Converse", "ConverseStream")


@pytest.fixture
def fresh(kit: Kit) -> Kit:
    """Return a kit of an emulator without faults, in which the jobs of other tests have ended."""
    kit.local.set_faults(QUOTAS)
    kit.local.advance_clock(30 * 86_400)
    return kit


def pay(kit: Kit, path: str, text: str, record_id: str = "R1") -> None:
    """Let the model answer a question once, by a path. Converse has a body of its own."""
    talk = {
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "inferenceConfig": {"maxTokens": 40, "temperature": 1.0},
    }
    if path == "batch":
        kit.settle(kit.submit([{"recordId": record_id, "modelInput": ask(text)}]))
    elif path == "batch of Converse":
        record = {"recordId": record_id, "modelInput": talk}
        kit.settle(kit.submit([record], modelInvocationType="Converse"))
    elif path.startswith("InvokeModel"):
        call = {
            "InvokeModel": kit.runtime.invoke_model,
            "InvokeModelWithResponseStream": kit.runtime.invoke_model_with_response_stream,
        }[path]
        # The order of members is another one than that of the batch job's body.
        body = json.dumps(dict(reversed(ask(text).items())))
        reply = call(modelId=CLAUDE, body=body)["body"]
        _ = reply.read() if path == "InvokeModel" else [*reply]
    elif path == "Converse":
        kit.runtime.converse(modelId=CLAUDE, requestMetadata={"a": "b"}, **talk)
    else:
        list(kit.runtime.converse_stream(modelId=CLAUDE, **talk)["stream"])


def again(kit: Kit, before: dict[str, Any]) -> dict[str, Any]:
    """Return what `paid_again` has more than before, without the examples."""
    after = kit.local.usage()["paid_again"]
    paths = {p: n - before["by_path"].get(p, 0) for p, n in after["by_path"].items()}
    more = {name: after[name] - before[name] for name in ("records", "answers", "undelivered")}
    return {**more, "by_path": {p: n for p, n in paths.items() if n}}


INVOKES = ("batch", *PATHS[1:3])
CONVERSES = ("batch of Converse", *PATHS[3:])


@pytest.mark.parametrize(
    ("first", "second"), [(a, b) for kind in (INVOKES, CONVERSES) for a in kind for b in kind]
)
def test_a_record_that_is_paid_for_twice_is_seen(fresh: Kit, first: str, second: str) -> None:
    """By any two paths that ask the same body, in either order. Once is nothing."""
    text, before = f"{first} then {second}", fresh.local.usage()["paid_again"]
    pay(fresh, first, text)
    assert again(fresh, before) == {"records": 0, "answers": 0, "undelivered": 0, "by_path": {}}
    pay(fresh, second, text)
    paid = again(fresh, before)
    names = [path.removesuffix(" of Converse") for path in (first, second)]
    assert paid["by_path"] == {name: names.count(name) for name in names}
    assert (paid["records"], paid["answers"], paid["undelivered"]) == (1, 1, 0)


def test_one_record_paid_for_three_times() -> None:
    """A job and two calls are two answers too many. An example is the record's id."""
    with LocalBedrock(QUOTAS, speed=0) as local:
        kit = Kit.open(local)
        for path in ("batch", "InvokeModel", "InvokeModel"):
            pay(kit, path, "hello", "R0000000001")
        assert local.usage()["paid_again"] == {
            "records": 1,
            "answers": 2,
            "undelivered": 0,
            "by_path": {"InvokeModel": 2, "batch": 1},
            "examples": ["R0000000001"],
        }


def test_equal_bodies_of_two_records_are_two_answers(fresh: Kit) -> None:
    """Batch jobs name the records; a call cannot. The third answer is one too many."""
    before, body = fresh.local.usage()["paid_again"], ask("two of one kind")
    fresh.settle(fresh.submit([{"recordId": name, "modelInput": body} for name in ("A", "B")]))
    assert again(fresh, before)["records"] == 0
    pay(fresh, "InvokeModel", "two of one kind")
    assert again(fresh, before)["answers"] == 1


def test_a_record_with_an_error_is_not_paid_for(fresh: Kit) -> None:
    """Nor is one that a stopped job did not reach: the answer to a call is the first one."""
    before = fresh.local.usage()["paid_again"]
    fresh.local.set_faults({**QUOTAS, "records": [{"share": 1, "code": 500, "jobs": "fails"}]})
    fails = [{"recordId": "A", "modelInput": ask("an error")}]
    fresh.settle(fresh.submit(fails, jobName="fails"))
    jobs = [{"name": "half", "end": "PartiallyCompleted", "processed_share": 0.5}]
    fresh.local.set_faults({**QUOTAS, "jobs": jobs})
    asked = [{"recordId": f"H{n}", "modelInput": ask(f"half {n}")} for n in range(2)]
    fresh.settle(fresh.submit(asked, jobName="half"))
    for text in ("an error", "half 1"):
        pay(fresh, "InvokeModel", text)
    assert again(fresh, before)["records"] == 0
    pay(fresh, "InvokeModel", "half 0")
    assert again(fresh, before)["by_path"] == {"batch": 1, "InvokeModel": 1}


def test_an_answer_that_a_fault_lost_is_counted_as_undelivered(fresh: Kit) -> None:
    """It is paid for. So a test can tell a second payment that had to be from one that had not."""
    before = fresh.local.usage()["paid_again"]
    fresh.local.set_faults({**QUOTAS, "jobs": [{"output": {"no_output": True}}]})
    pay(fresh, "batch", "lost line")
    number = fresh.local.requests().get("InvokeModel", 0) + 1
    fresh.local.set_faults({**QUOTAS, "operations": {"InvokeModel": {"drop_after": [number]}}})
    with pytest.raises(BotoCoreError):
        pay(fresh, "InvokeModel", "lost reply")
    for operation in ("InvokeModelWithResponseStream", "ConverseStream"):
        for fault in ("stream_error_rate", "stream_drop_rate"):
            fresh.local.set_faults({**QUOTAS, "operations": {operation: {fault: 1}}})
            with pytest.raises((ClientError, BotoCoreError, ProtocolError)):
                pay(fresh, operation, f"lost {fault}")
    fresh.local.set_faults(QUOTAS)
    assert again(fresh, before)["records"] == 0
    texts = [("InvokeModel", "lost line"), ("InvokeModel", "lost reply")]
    texts += [(p, f"lost stream_{f}_rate") for p in PATHS[2::2] for f in ("error", "drop")]
    for path, text in texts:
        pay(fresh, path, text)
    paid = again(fresh, before)
    assert (paid["records"], paid["answers"], paid["undelivered"]) == (6, 6, 6)
    pay(fresh, "InvokeModel", "lost line")
    paid = again(fresh, before)
    assert (paid["records"], paid["answers"], paid["undelivered"]) == (6, 7, 6)


def test_what_was_paid_survives_a_restart(tmp_path: Path) -> None:
    """With `--data`. A job that is processed again is still paid once."""
    with LocalBedrock(QUOTAS, speed=0, data=tmp_path) as local:
        kit = Kit.open(local)
        pay(kit, "batch", "before")
        running = kit.submit([{"recordId": "R2", "modelInput": ask("while")}])
        kit.until(running, lambda status: status == "InProgress", step=30)
        assert local.usage()["paid_again"] == NOTHING
    with LocalBedrock(QUOTAS, speed=0, data=tmp_path) as local:
        kit = Kit.open(local)
        assert kit.settle(running)["status"] == "Completed"
        assert local.usage()["paid_again"] == NOTHING
        pay(kit, "InvokeModel", "before")
        pay(kit, "InvokeModel", "while")
        paid = local.usage()["paid_again"]
        assert (paid["records"], sorted(paid["examples"])) == (2, ["R1", "R2"])


def test_at_most_ten_examples_and_none_has_a_prompt(fresh: Kit) -> None:
    """Without a record id an example is a short digest."""
    for number in range(11):
        for _ in range(2):
            pay(fresh, "InvokeModel", f"very secret {number}")
    usage = fresh.local.usage()
    assert usage["paid_again"]["records"] >= 11
    assert len(usage["paid_again"]["examples"]) == 10
    assert "secret" not in json.dumps(usage)


payments = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["", "A", "B"]), st.booleans()), max_size=12
)


@given(payments)
def test_the_count_is_payments_minus_records(paid: list[tuple[int, str, bool]]) -> None:
    """For any payments of three bodies, by calls (no record id) and by jobs."""
    answers = PaidAnswers(store := Store())
    for number, (body, record_id, is_delivered) in enumerate(paid):
        digest = request_digest(body, is_converse=False)
        if record_id:
            answer = BatchAnswer(digest, record_id, True, is_delivered)
            answers.add_job(f"job-{number}", {}, [answer])
        else:
            count = answers.add_call("InvokeModel", digest)
            if not is_delivered:
                answers.mark_lost(count)
    expected = 0
    for body in range(3):
        own = [record_id for number, record_id, _ in paid if number == body]
        expected += max(0, len(own) - max(1, len({*own} - {""})))
    result = answers.paid_again()
    assert result["answers"] == expected
    assert result["undelivered"] <= expected
    if all(is_delivered for *_, is_delivered in paid):
        assert result["undelivered"] == 0
    store.close()


def test_a_call_is_written_under_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an older total of another thread could be the last one in the file."""
    usage, is_locked = Usage(store := Store()), list[bool]()
    for name in ("put", "add_answer"):
        call = getattr(store, name)

        def watched(*values: Any, call: Any = call) -> Any:
            is_locked.append(usage._lock.locked())
            return call(*values)

        monkeypatch.setattr(store, name, watched)
    for _ in range(2):
        usage.bill_call("InvokeModel", "m", b"0" * 16, CallTokens(1, 1))
    assert is_locked == [True] * 4
    assert dict(store.documents("invocations"))["m"]["calls"] == 2
    store.close()
