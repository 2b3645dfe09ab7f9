"""Refusals: final once the model has answered any record, and hopeless if many are alike."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.errors import InvokeError, InvokeRecordError, InvokeRetryableError
from bedrock_spark.invoke.refusals import (
    ALIKE,
    MOST_HELD,
    OTHERS,
    Refusal,
    Refusals,
    is_refusal,
    pattern_of,
)
from bedrock_spark.shards.lines import read_shard

BODY = "my own words"


def refused(n: int, message: str = "Operation not allowed") -> Refusal:
    line = json.dumps({"recordId": f"{n:011d}", "modelInput": {"n": n, "text": BODY}}).encode()
    (record,) = read_shard(line + b"\n")
    error = InvokeRecordError(message, error_code=400, error_type="ValidationException")
    return Refusal("s", record, error)


@given(st.lists(st.booleans(), max_size=MOST_HELD))
def test_every_refusal_is_final_once_or_stays_held(answers: list[bool]) -> None:
    """Those before the first answer become final with it; without an answer, none is final."""
    refusals = Refusals()
    final: list[Refusal] = []
    for n, is_answer in enumerate(answers):
        if is_answer:
            final += refusals.note_answer()
        elif refusals.note(refused(n)):
            final.append(refused(n))
    rest = refusals.take_rest()
    expected = [n for n, is_answer in enumerate(answers) if not is_answer]
    assert [int(r.record.recordId) for r in (*final, *rest)] == expected
    assert bool(rest) == (bool(expected) and not any(answers))
    assert refusals.answered == sum(answers)


def test_many_alike_without_an_answer_are_hopeless() -> None:
    """One fewer is not enough, and one answer proves that the model answers."""
    refusals = Refusals()
    for n in range(ALIKE - 1):
        assert not refusals.note(refused(n, f'Operation {n} not allowed for "{n}" at arn:aws:{n}'))
    assert not refusals.is_hopeless
    refusals.note(refused(99, "Operation 99 not allowed for 'x y' at arn:aws:99"))
    assert refusals.is_hopeless
    refusals.note_answer()
    assert not refusals.is_hopeless
    assert not Refusals(has_answered=True).is_hopeless


def test_refusals_that_are_not_alike_are_not_hopeless_and_not_kept_in_memory() -> None:
    """The number of held bodies and the number of kept messages have limits."""
    words = [a + b for a in "abcdefghij" for b in "abcdefghij"]
    refusals = Refusals()
    surplus = []
    for n, word in enumerate(words):
        refusals.note(refused(n, f"the field {word} is wrong"))
        surplus += refusals.take_surplus()
    assert len(surplus) == len(words) // MOST_HELD * MOST_HELD
    assert not refusals.is_hopeless
    assert refusals.alike[OTHERS] > ALIKE
    assert refusals.alike.total() == len(words)
    assert len(refusals.messages) < ALIKE + 2


def test_a_message_shows_nothing_of_a_body() -> None:
    """The service may quote it."""
    refusals = Refusals()
    refusals.note(refused(1, f"cannot read: {BODY}"))
    assert list(refusals.messages.values()) == ["cannot read: …"]


def test_threads_may_note_at_once() -> None:
    """No refusal is lost, and none is released twice."""
    refusals = Refusals()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: refusals.note(refused(n)), range(30)))
        released = list(pool.map(lambda _: refusals.note_answer(), range(8)))
    assert sorted(int(r.record.recordId) for each in released for r in each) == list(range(30))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvokeRecordError("m", error_code=400, error_type="ValidationException"), True),
        (InvokeRecordError("m", error_code=400, error_type="NotBase64"), False),
        (InvokeRecordError("m", error_code=400, error_type="ParamValidationError"), False),
        (InvokeRecordError("m", error_code=424, error_type="NotJson"), False),
        (InvokeRetryableError("m", error_code=503), False),
    ],
)
def test_only_final_replies_of_the_service_are_refusals(error: InvokeError, expected: bool) -> None:
    """What is found in a body before the call is that record's own fault."""
    assert is_refusal(error) is expected


def test_the_pattern_leaves_out_what_differs() -> None:
    """Numbers, ids and quoted text; not the code."""
    one = InvokeRecordError("Prompt is 215,000 tokens: 'a b'", error_code=400, error_type="V")
    two = InvokeRecordError("prompt is 7 tokens:  'c'", error_code=400, error_type="V")
    other = InvokeRecordError("prompt is 7 tokens: 'c'", error_code=413, error_type="V")
    assert pattern_of(one) == pattern_of(two) == "400 V: prompt is # tokens: #"
    assert pattern_of(other) != pattern_of(one)
