"""What is known of earlier answers: what changed, and what need not be paid for again."""

from __future__ import annotations

from typing import Any

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.preview.history import ANSWER, Asked, History, changed
from bedrock_spark.preview.memory import THIS_SESSION, AnswerMemory, request_id
from bedrock_spark.preview.sides import Side
from bedrock_spark.preview.values import AnsweredRow
from bedrock_spark.prices import RunPrices
from tests.unit.fakes import make_config


def row(**values: Any) -> AnsweredRow:
    return AnsweredRow(**{"number": 1, "row": {}, "outcome": "ok", **values})


def side(**sections: Any) -> Side:
    return Side("a.yaml", make_config(**sections), AwsSettings("us-east-1"), RunPrices())


def test_columns_are_compared_one_by_one() -> None:
    before, after = row(columns={"a": 1, "b": None}), row(columns={"a": 2, "b": None, "c": None})
    assert changed(before, after) == {"a", "c"}
    assert changed(before, before) == set()


def test_an_answer_that_is_not_parsed_is_compared_as_a_whole() -> None:
    parsed, broken = row(columns={"a": 1}, text="x"), row(outcome="invalid", text="y")
    assert changed(parsed, broken) == {"outcome", ANSWER}
    assert changed(row(text=" x\n"), row(text="x")) == set()
    assert changed(row(outcome="error", reason="a"), row(outcome="error", reason="b")) == {ANSWER}


def test_a_known_answer_to_the_same_request_keeps_the_marks() -> None:
    history = History()
    history.note(Asked(b"one", row(text="a")))
    history.note(Asked(b"two", row(text="b")))
    history.note(Asked(b"two", row(text="b", kept_from=THIS_SESSION)))
    before = history.before(1)
    assert before is not None
    assert before.text == "a"
    assert (history.compared_rows(), history.changed_rows()) == (1, 1)
    history.note(Asked(b"two", row(text="c")))  # asked again, and paid for
    again = history.before(1)
    assert again is not None
    assert again.text == "b"


def test_a_request_is_another_one_for_another_model() -> None:
    one, other = side(), side(model={"id": "amazon.nova-lite-v1:0"})
    memory = AnswerMemory()
    memory.add(request_id(one, b"body"), b"answer")
    assert memory.find(one, [b"body"])[b"body"].run_id == THIS_SESSION
    assert memory.find(other, [b"body"]) == {}
    assert memory.find(one, [b"another"]) == {}


def test_the_oldest_answers_are_forgotten() -> None:
    memory, one = AnswerMemory(most=10), side()
    for body in (b"a", b"b", b"a", b"c"):
        memory.add(request_id(one, body), b"12345")
    assert memory.find(one, [b"a", b"b", b"c"]).keys() == {b"a", b"c"}
