"""What is known of earlier answers: what changed, and what need not be paid for again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import ConfigError
from bedrock_spark.preview import memory as memory_module
from bedrock_spark.preview.history import ANSWER, Asked, History, changed
from bedrock_spark.preview.memory import THIS_SESSION, AnswerMemory, Held
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
    memory.add(one, b"body", b"answer")
    assert memory.find(one, [b"body"])[b"body"].run_id == THIS_SESSION
    assert memory.find(other, [b"body"]) == {}
    assert memory.find(one, [b"another"]) == {}


def test_no_answer_is_forgotten_that_is_nowhere_else() -> None:
    """It was paid for. Before more is asked than there is room for, somebody must save them."""
    memory, one = AnswerMemory(most=10), side()
    for body, output in ((b"1", b"[1]"), (b"2", b"[2]"), (b"1", b"[3]")):
        memory.refuse_if_full()
        memory.add(one, body, output)
    assert memory.find(one, [b"1"])[b"1"].output == b"[3]"
    assert memory.held() == Held(3, 3, 12)
    with pytest.raises(ConfigError, match="3 answers, 12 bytes with their requests, are in the"):
        memory.refuse_if_full()
    lines = memory.lines()
    saved = [next(lines) for _ in range(3)]
    assert memory.held().unsaved == 3  # the download may break off
    assert next(lines, None) is None
    assert [json.loads(line)["answer"] for line in saved] == [[1], [2], [3]]
    assert json.loads(saved[0]) == {"model": one.model_id, "request": 1, "answer": [1]}
    # Now the oldest makes room.
    assert memory.held() == Held(2, 0, 0)
    memory.refuse_if_full()
    memory.add(one, b"4", b"[4]")
    assert memory.find(one, [b"1", b"2", b"4"]).keys() == {b"1", b"4"}
    assert memory.held() == Held(2, 1, 4)


def test_what_the_store_has_may_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that the store does not take, such as one that is not ok, is held on."""
    kept = side(answers="s3://bucket/answers")
    accept = lambda outputs: [output == b"ok" for output in outputs]  # noqa: E731
    monkeypatch.setattr(memory_module, "accepting", lambda _: accept)
    for written, unsaved in ((2, {b"3"}), (0, {b"1", b"2", b"3"})):
        memory = AnswerMemory()
        keeper = memory.with_keeper(kept, Store(written))
        for body, output in ((b"1", b"ok"), (b"2", b"ok"), (b"3", b"bad")):
            keeper.add(body, output, 0.0)
        assert keeper.write(0.0) == written
        assert memory.held().unsaved == len(unsaved)


@dataclass
class Store:
    """Takes answers, and says how many it has written."""

    written: int

    def add(self, body: bytes, output: bytes, at: float, record_id: str | None = None) -> None:
        pass

    def write(self, now: float) -> int:
        return self.written
