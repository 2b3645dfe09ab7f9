"""Answer scripts: rules answer the requests that they match, on every path."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pydantic import ValidationError

from bedrock_emulator import LocalBedrock
from bedrock_emulator.answers.deterministic import DeterministicBackend
from bedrock_emulator.answers.prompt import Piece, Prompt, Turn
from bedrock_emulator.answers.script import Answers, AnswerScript, read_answers
from bedrock_emulator.errors import ServiceError

from .doc_examples import example
from .kit import CLAUDE, CLAUDE_MODEL, Kit, ask


@pytest.fixture
def scripted(kit: Kit) -> Iterator[Kit]:
    """Yield the shared emulator; its answer script is emptied afterwards."""
    yield kit
    kit.local.set_answers()


def script(*rules: dict[str, Any]) -> AnswerScript:
    return AnswerScript(read_answers({"answers": list(rules)}), seed=7)


def text_of(script: AnswerScript, body: dict[str, Any], model: str = CLAUDE_MODEL) -> str:
    prompt = Prompt((Turn("user", body["messages"][0]["content"]),))
    backend = script.backend(DeterministicBackend(), body, waits=False)
    return backend.complete(model, prompt).text


def invoke(kit: Kit, body: dict[str, Any]) -> dict[str, Any]:
    reply = kit.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))
    answer: dict[str, Any] = json.loads(reply["body"].read())
    return answer


def test_a_rule_answers_calls_streams_and_records(scripted: Kit) -> None:
    """InvokeModel, Converse, a stream and a batch job, each in its own format."""
    scripted.local.set_answers({"match": "colou?r", "text": "Blue, by script."})
    body = ask("Which color?")
    assert invoke(scripted, body)["content"][0]["text"] == "Blue, by script."
    messages = [{"role": "user", "content": [{"text": "Which colour?"}]}]
    said = scripted.runtime.converse(modelId=CLAUDE, messages=messages)
    assert said["output"]["message"]["content"] == [{"text": "Blue, by script."}]
    stream = scripted.runtime.converse_stream(modelId=CLAUDE, messages=messages)["stream"]
    pieces = [e["contentBlockDelta"]["delta"]["text"] for e in stream if "contentBlockDelta" in e]
    assert "".join(pieces) == "Blue, by script."
    records = [{"recordId": "a", "modelInput": body}, {"recordId": "b", "modelInput": ask("Hi")}]
    arn = scripted.submit(records)
    scripted.settle(arn)
    texts = {r["recordId"]: r["modelOutput"]["content"][0]["text"] for r in scripted.lines(arn)}
    assert texts["a"] == "Blue, by script."
    assert texts["b"] != "Blue, by script."
    assert scripted.local.answers()[0]["used"] == 4


@pytest.mark.parametrize(
    ("rule", "is_met"),
    [
        ({"model": "anthropic.*"}, True),
        ({"model": "amazon.*"}, False),
        ({"match": "^Hello"}, True),
        ({"match": "hello"}, False),
        ({"body": {"messages[0].role": "user", "top_k": 5}}, True),
        ({"body": {"messages[-1].content": "Hel+o"}}, True),
        ({"body": {"messages[1].role": "user"}}, False),
        ({"body": {"messages.role": "user"}}, False),
        ({"body": {"top_k": 6}}, False),
        ({"body": {"temperature": None}}, False),
        ({"match": "Hello", "body": {"top_k": 6}}, False),
    ],
)
def test_a_rule_needs_all_of_its_conditions(rule: dict[str, Any], is_met: bool) -> None:
    """Paths that the body does not have meet no condition."""
    answered = text_of(script({**rule, "text": "scripted"}), ask("Hello you", top_k=5))
    assert (answered == "scripted") == is_met


def test_the_first_rule_that_matches_answers() -> None:
    """Later ones do when it is used up, which is counted per body."""
    rules = script({"text": "first", "times": 1}, {"match": "a", "text": "second"})
    assert [text_of(rules, ask("a")) for _ in range(2)] == ["first", "second"]
    assert text_of(rules, ask("b")) == "first"
    assert [rule["used"] for rule in rules.report()["answers"]] == [2, 1]


def test_a_share_of_the_bodies_is_drawn() -> None:
    """The same bodies each time."""
    rule = {"share": 0.2, "text": "no JSON"}
    texts = [text_of(script(rule), ask(f"Question {n}")) for n in range(300)]
    assert 30 < texts.count("no JSON") < 100
    assert texts == [text_of(script(rule), ask(f"Question {n}")) for n in range(300)]


def test_limits_and_stop_sequences_hold_for_scripted_text() -> None:
    """A text is cut as a model's is; other JSON values are written as JSON."""
    backend = script({"text": {"a": [1, 2]}}).backend(DeterministicBackend(), {}, waits=False)
    turns = (Turn("user", "x"),)
    assert backend.complete("m", Prompt(turns)).text == '{"a": [1, 2]}'
    short = backend.complete("m", Prompt(turns, max_tokens=3))
    assert (short.stop, short.output_tokens) == ("length", 3)
    stopped = backend.complete("m", Prompt(turns, stop_sequences=("[",)))
    assert (stopped.text, stopped.stop_sequence) == ('{"a": ', "[")


def test_a_scripted_tool_call(scripted: Kit) -> None:
    """The request need not have the tool."""
    scripted.local.set_answers({"tool": {"name": "weather", "input": {"city": "Rome"}}})
    answer = invoke(scripted, ask("x"))
    assert answer["stop_reason"] == "tool_use"
    assert answer["content"][0]["input"] == {"city": "Rome"}


def test_a_scripted_error_is_one_of_the_call_and_of_the_record(scripted: Kit) -> None:
    """With the status of its code, which says whether a record is retryable."""
    scripted.local.set_answers(
        {"match": "busy", "error": {"code": "ThrottlingException", "message": "Slow down"}},
        {"match": "bad", "error": {"code": "ValidationException"}},
    )
    with pytest.raises(ClientError, match="Slow down") as error:
        invoke(scripted, ask("busy"))
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    records = [{"recordId": t, "modelInput": ask(t)} for t in ("busy", "bad", "good")]
    arn = scripted.submit(records)
    scripted.settle(arn)
    lines = {line["recordId"]: line.get("error") for line in scripted.lines(arn)}
    assert lines["good"] is None
    assert (lines["busy"]["errorCode"], lines["busy"]["retryable"]) == (429, True)
    assert (lines["bad"]["errorCode"], lines["bad"]["retryable"]) == (400, False)


def test_embeddings_meet_errors_but_no_texts() -> None:
    """A text cannot be a vector."""
    rules = script({"text": "x"}, {"match": "bad", "error": {"code": "ModelTimeoutException"}})
    backend = rules.backend(DeterministicBackend(), {}, waits=False)
    assert backend.embed("m", "good", 8) == DeterministicBackend().embed("m", "good", 8)
    with pytest.raises(ServiceError):
        backend.embed("m", "bad", 8)


def test_a_delay_holds_for_calls_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job's time is emulated."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    rules = script({"delay_seconds": 2.5})
    for waits in (False, True):
        backend = rules.backend(DeterministicBackend(), {}, waits=waits)
        assert backend.complete("m", Prompt((Turn("user", "x"),))).text
        assert waited == [2.5] * waits


def test_the_pieces_of_a_stream_may_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that somebody can end it. An answer without a stream does not wait."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    backend = script({"text": "a b", "piece_seconds": 0.5}).backend(
        DeterministicBackend(), {}, waits=True
    )
    prompt = Prompt((Turn("user", "x"),))
    assert backend.complete("m", prompt).text == "a b"
    assert waited == []
    pieces = backend.stream("m", prompt)
    assert next(pieces) == Piece("text", "a ")
    assert waited == [0.5]


@pytest.mark.parametrize(
    ("limit", "text", "tokens", "thought", "stop"),
    [
        (5, "", 5, 5, "length"),
        (10, "", 10, 10, "length"),
        (12, "a b", 12, 10, "length"),
        (13, "a b c", 13, 10, "end"),
        (99, "a b c", 13, 10, "end"),
    ],
)
def test_reasoning_comes_first_and_counts_against_the_limit(
    limit: int, text: str, tokens: int, thought: int, stop: str
) -> None:
    """With fewer tokens than it needs, nothing else comes."""
    backend = script({"thinks": 10, "text": "a b c"}).backend(
        DeterministicBackend(), {}, waits=False
    )
    said = backend.complete("m", Prompt((Turn("user", "x"),), max_tokens=limit))
    assert (said.text, said.output_tokens, said.reasoning_tokens) == (text, tokens, thought)
    assert (said.stop, bool(said.reasoning)) == (stop, True)


@pytest.mark.parametrize(
    ("rule", "text"), [({}, "I cannot help with that."), ({"text": "No"}, "No")]
)
def test_a_refusal_has_a_text(rule: dict[str, Any], text: str) -> None:
    """Its own, or one for all."""
    backend = script({"refuses": True, **rule}).backend(DeterministicBackend(), {}, waits=False)
    said = backend.complete("m", Prompt((Turn("user", "x"),)))
    assert (said.text, said.stop) == (text, "refusal")


@pytest.mark.parametrize("model", [CLAUDE, "amazon.nova-lite-v1:0", "qwen.qwen3-32b-v1:0"])
def test_reasoning_is_streamed(scripted: Kit, model: str) -> None:
    """By ConverseStream, before the text."""
    scripted.local.set_answers({"thinks": 3, "text": "Done."})
    messages = [{"role": "user", "content": [{"text": "Why?"}]}]
    stream = scripted.runtime.converse_stream(modelId=model, messages=messages)["stream"]
    deltas = [e["contentBlockDelta"]["delta"] for e in stream if "contentBlockDelta" in e]
    kinds = [next(iter(delta)) for delta in deltas]
    assert kinds == sorted(kinds, key=["reasoningContent", "text"].index)
    assert set(kinds) == {"reasoningContent", "text"}


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"text": "a", "tool": {"name": "t"}},
        {"text": "a", "match": "("},
        {"text": "a", "body": {"x": "["}},
        {"text": "a", "mach": "b"},
        {"error": {"code": "NoSuchException"}},
        {"text": "a", "times": 0},
        {"thinks": -1, "text": "a"},
        {"error": {"code": "ThrottlingException"}, "refuses": True},
        {"error": {"code": "ThrottlingException"}, "thinks": 5},
        {"tool": {"name": "t"}, "refuses": True},
    ],
)
def test_mistakes_in_a_script_are_refused(rule: dict[str, Any]) -> None:
    """All of them when the script is read, not at the first request."""
    with pytest.raises(ValidationError):
        read_answers({"answers": [rule]})


def test_a_refused_script_leaves_the_old_one(scripted: Kit) -> None:
    """PUT /_emulator/answers returns 400 with the mistake."""
    scripted.local.set_answers({"text": "old"})
    with pytest.raises(ValueError, match="mach"):
        scripted.local.set_answers({"text": "new", "mach": "x"})
    assert invoke(scripted, ask("x"))["content"][0]["text"] == "old"


def test_the_documented_script_is_read_from_a_file(tmp_path: Any) -> None:
    """docs/emulator.md shows every key, and --answers takes the file."""
    path = tmp_path / "answers.yaml"
    path.write_text(example("answers"))
    for definition in Answers.model_json_schema()["$defs"].values():
        for key in definition["properties"]:
            assert f"{key}:" in example("answers"), key
    with LocalBedrock(None, 0, 7, None, 0, "--answers", str(path)) as local:
        used = read_answers(path)
        assert [rule["match"] for rule in local.answers()] == [r.match for r in used.answers]
