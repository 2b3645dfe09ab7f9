"""Judging answers: what a family does not read is not ok, and what was refused is final."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock_spark.families import FAMILIES, family_by_name
from bedrock_spark.families.base import read_answer
from bedrock_spark.families.endings import REFUSED_ANYWHERE, Ending
from bedrock_spark.outputs.judge import Judge, Judgement
from bedrock_spark.outputs.outcomes import ERROR, INVALID, OK, REFUSED, TRUNCATED
from bedrock_spark.outputs.record_errors import RecordError
from bedrock_spark.outputs.shape import shape_of
from bedrock_spark.schema import parse_ddl

TEXT, SECRET = "I will not do that.", "SECRET"


def chat(text: str, reason: str) -> Any:
    return {"choices": [{"message": {"content": text}, "finish_reason": reason}], "usage": {}}


def converse(text: str, reason: str) -> Any:
    return {"output": {"message": {"content": [{"text": text}]}}, "stopReason": reason}


def completion(name: str) -> Callable[[str, str], Any]:
    return lambda text, reason: {name: [{"text": text, "stop_reason": reason}]}


def generation(text: str, reason: str) -> Any:
    return {"generation": text, "stop_reason": reason}


# An answer of each family that answers with text, by its text and its stop reason.
ANSWERS: dict[str, Callable[[str, str], Any]] = {
    "anthropic": lambda text, reason: {
        "content": [{"type": "text", "text": text}],
        "stop_reason": reason,
    },
    "nova": converse,
    "converse": converse,
    "titan_text": lambda text, reason: {
        "results": [{"outputText": text, "completionReason": reason}]
    },
    "cohere_command": lambda text, reason: {
        "generations": [{"text": text, "finish_reason": reason}]
    },
    "cohere_command_r": lambda text, reason: {"text": text, "finish_reason": reason},
    "llama3": generation,
    "llama4": generation,
    "mistral_instruct": completion("outputs"),
    "deepseek_r1": completion("choices"),
    **dict.fromkeys(("mistral_chat", "jamba", "gpt_oss", "qwen", "deepseek_v3"), chat),
}
# Answers of the families of vectors and images.
OTHERS: dict[str, Any] = {
    "titan_embeddings": {"embedding": [0.5], "inputTextTokenCount": 3},
    "titan_multimodal": {"embedding": [0.5], "message": None},
    "nova_embeddings": {"embeddings": [{"embedding": [0.5], "embeddingType": "TEXT"}]},
    "cohere_embed": {"embeddings": [[0.5]]},
    "amazon_images": {"images": ["aa"], "error": None},
    "stability": {"images": ["aa"], "finish_reasons": [None]},
    "stability_xl": {"artifacts": [{"base64": "aa", "finishReason": "SUCCESS"}]},
}


def judge(family: str, output: Any, columns: str | None = None) -> Judgement:
    fields = parse_ddl(columns) if columns else ()
    return Judge(family_by_name(family), fields)(json.dumps(output).encode())


def test_every_family_is_in_a_table() -> None:
    """So that no test of this file leaves a family out."""
    assert ANSWERS.keys() | OTHERS.keys() | {"raw"} == {family.name for family in FAMILIES}


@pytest.mark.parametrize("family", ANSWERS)
@pytest.mark.parametrize("word", REFUSED_ANYWHERE)
def test_a_refusal_is_an_outcome_of_its_own_in_every_family(family: str, word: str) -> None:
    """Whether it has a text or none, and whether that fits or not; it is counted by its word."""
    for text in (TEXT, "", '{"label": "x"}'):
        for reason in (word, word.upper()):
            for columns in (None, "label string"):
                judged = judge(family, ANSWERS[family](text, reason), columns)
                assert (judged.ended, judged.stop_reason) == (REFUSED, reason)
                assert judged.reason == f"refused: stop reason {reason}"
                assert (judged.error, judged.parsed, judged.finding) == (None, None, None)


FITS, FITS_NOT = '{"label": "x"}', "x"


@pytest.mark.parametrize(
    ("ending", "text", "columns", "ended", "is_final"),
    [
        (Ending.TRUNCATED, FITS, None, TRUNCATED, False),
        (Ending.TRUNCATED, FITS, "label string", TRUNCATED, False),
        (Ending.TRUNCATED, FITS_NOT, "label string", TRUNCATED, False),
        (Ending.TRUNCATED, "", None, TRUNCATED, False),
        (Ending.TRUNCATED, " ", "label string", TRUNCATED, False),
        (Ending.NO_ROOM, FITS, None, TRUNCATED, True),
        (Ending.NO_ROOM, FITS, "label string", TRUNCATED, True),
        (Ending.NO_ROOM, "", None, TRUNCATED, True),
        (Ending.REFUSED, FITS, None, REFUSED, False),
        (Ending.REFUSED, FITS, "label string", REFUSED, False),
        (Ending.REFUSED, "", None, REFUSED, False),
        (Ending.FINISHED, FITS_NOT, None, OK, False),
        (Ending.FINISHED, FITS, "label string", OK, False),
        (Ending.FINISHED, FITS_NOT, "label string", INVALID, False),
        (Ending.FINISHED, "", None, TRUNCATED, False),
        (Ending.FINISHED, "", "label string", TRUNCATED, False),
        (Ending.TOOL_USE, FITS, "label string", OK, False),
        (Ending.OTHER, FITS, None, OK, False),
        (Ending.OTHER, "", None, TRUNCATED, False),
    ],
)
@pytest.mark.parametrize("family", ANSWERS)
def test_the_ending_goes_before_the_columns(
    family: str, ending: Ending, text: str, columns: str | None, ended: str, is_final: bool
) -> None:
    """In every family, with each of its own words for that ending."""
    words = [w for w, each in family_by_name(family).endings.words.items() if each is ending]
    for word in words or ["another_word"] * (ending is Ending.OTHER):
        judged = judge(family, ANSWERS[family](text, word), columns)
        assert (judged.ended, judged.is_final) == (ended, is_final)
        assert (judged.reason is None) is (ended in (OK, INVALID))
        is_empty = not text.strip()
        assert judged.finding == ("empty" if is_empty and ended == TRUNCATED else None)
        if columns and ended == TRUNCATED and text == FITS:
            assert judged.parsed is not None
            assert judged.parsed.values == ("x",)


@pytest.mark.parametrize("family", ANSWERS)
def test_every_family_of_texts_says_when_an_answer_was_cut_off(family: str) -> None:
    """Otherwise a cut answer would pass for a whole one."""
    assert Ending.TRUNCATED in family_by_name(family).endings.words.values()


def test_some_images_that_were_withheld_leave_the_others() -> None:
    """The record has images, so it is ok; without any, it is refused."""
    reason = "Some images were blocked by our content filters."
    judged = judge("amazon_images", {"images": ["aa"], "error": reason})
    assert (judged.ended, judged.stop_reason) == (OK, "other")
    assert judge("amazon_images", {"images": [], "error": reason}).ended == REFUSED
    beside = Judge(family_by_name("amazon_images"))(
        json.dumps({"error": reason}).encode(), has_files=True
    )
    assert beside.ended == OK


WORDS = [
    ("anthropic", "max_tokens", Ending.TRUNCATED),
    ("anthropic", "pause_turn", Ending.NO_ROOM),
    *(("anthropic", word, Ending.FINISHED) for word in ("end_turn", "stop_sequence")),
    ("anthropic", "model_context_window_exceeded", Ending.NO_ROOM),
    ("anthropic", "tool_use", Ending.TOOL_USE),
    ("converse", "model_context_window_exceeded", Ending.NO_ROOM),
    ("converse", "malformed_model_output", Ending.OTHER),
    ("nova", "max_tokens", Ending.TRUNCATED),
    ("titan_text", "FINISH", Ending.FINISHED),
    ("titan_text", "LENGTH", Ending.TRUNCATED),
    ("titan_text", "CONTENT_FILTERED", Ending.REFUSED),
    ("cohere_command", "ERROR_TOXIC", Ending.REFUSED),
    ("cohere_command", "MAX_TOKENS", Ending.TRUNCATED),
    ("cohere_command_r", "COMPLETE", Ending.FINISHED),
    *((family, "stop", Ending.FINISHED) for family in ("llama3", "llama4", "mistral_instruct")),
    *((family, "length", Ending.TRUNCATED) for family in ("llama3", "deepseek_r1", "gpt_oss")),
    *((family, "content_filter", Ending.REFUSED) for family in ("qwen", "jamba", "deepseek_v3")),
    ("mistral_chat", "model_length", Ending.NO_ROOM),
    ("mistral_chat", "tool_calls", Ending.TOOL_USE),
    ("stability", "Filter reason: prompt", Ending.REFUSED),
    ("stability", "Inference error", Ending.OTHER),
    ("stability_xl", "CONTENT_FILTERED", Ending.REFUSED),
    ("amazon_images", "The images were blocked by our content filters.", Ending.REFUSED),
    ("amazon_images", "Something else", Ending.OTHER),
    ("titan_multimodal", "anything", Ending.OTHER),
    ("llama3", "anything", Ending.OTHER),
]


@pytest.mark.parametrize(("family", "word", "ending"), WORDS)
def test_each_family_has_its_own_words(family: str, word: str, ending: Ending) -> None:
    """And no conclusion is drawn from other words, or from none."""
    endings = family_by_name(family).endings
    assert endings.of(word) is ending
    assert endings.of(None) is Ending.OTHER


def test_a_guardrail_before_any_model_is_a_refusal() -> None:
    """InvokeModel says so beside the model's own stop reason."""
    output = {**ANSWERS["llama3"](TEXT, "stop"), "amazon-bedrock-guardrailAction": "INTERVENED"}
    assert judge("llama3", output, "label string").ended == REFUSED
    output["amazon-bedrock-guardrailAction"] = "NONE"
    assert judge("llama3", output, "label string").ended == INVALID


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("content", "text", "type", "input", "output", "message", "choices"),
                    *("results", "outputText", "generations", "generation", "outputs", "float"),
                    *("embedding", "embeddings", "embeddingsByType", "images", "artifacts"),
                    *("base64", "error", "stopReason", "stop_reason", "usage", "toolUse"),
                    *("reasoningContent", "citationsContent", "finish_reason", "tool_calls"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
SHAPES = [*OTHERS.values(), *(answer("hello", "stop") for answer in ANSWERS.values())]


@settings(max_examples=240)  # of which each is read by all families
@given(output=JSON | st.sampled_from(SHAPES) | st.sampled_from(SHAPES).map(json.dumps))
def test_what_a_family_does_not_read_is_never_ok(output: Any) -> None:
    """Whatever JSON it is, and whichever other family's answer; and nothing is raised."""
    data = json.dumps(output).encode()
    for family in FAMILIES:
        if not family.reads_answers:
            continue
        answer = read_answer(data, family)
        for columns in (None, "label string"):
            judged = judge(family.name, output, columns)
            assert judged.ended == OK or judged.error or judged.parsed or judged.reason, family.name
            if judged.ended == OK:
                parts = answer.text, answer.tool_input, answer.embedding, answer.images
                assert any(parts) or answer.has_other_vectors, family.name


@pytest.mark.parametrize("family", [*ANSWERS, *OTHERS])
def test_a_family_reads_its_own_answers(family: str) -> None:
    """They are ok, without a finding."""
    output = ANSWERS[family]("hello", "stop") if family in ANSWERS else OTHERS[family]
    judged = judge(family, output)
    assert (judged.ended, judged.finding, judged.error) == (OK, None, None)


@pytest.mark.parametrize(
    ("output", "code", "may_retry"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, 529, True),
        ({"error": {"type": "invalid_request_error", "message": "m", "param": None}}, 400, False),
        ({"error": {"message": "m", "code": 503}}, 503, True),
        ({"message": "m"}, None, True),
        ({"message": "m", "__type": "com.amazon#ValidationException"}, 400, False),
    ],
)
def test_an_error_in_place_of_an_answer_is_an_error(
    output: Any, code: int | None, may_retry: bool
) -> None:
    """Its message is the row's, and its code decides whether the record may be asked again."""
    for family in ("anthropic", "converse", "llama3", "titan_embeddings"):
        judged = judge(family, output)
        assert judged.ended == ERROR
        assert judged.error == RecordError(code, "m")
        assert judged.error.is_retryable is may_retry


@pytest.mark.parametrize(
    "output", [{"choices": [{"text": SECRET}]}, SECRET, [SECRET], {}, 7, {"text": SECRET}]
)
def test_an_answer_of_another_shape_is_shown_without_values(output: Any) -> None:
    """The error and the finding have its keys and types. It was paid for: it is final."""
    judged = judge("anthropic", output)
    assert (judged.ended, judged.finding) == (ERROR, "unreadable")
    assert judged.error is not None
    assert not judged.error.is_retryable
    assert SECRET not in f"{judged}"
    assert shape_of(output) in str(judged.error.message)


def test_an_answer_with_nothing_but_reasoning_is_empty() -> None:
    """It was cut off while the model was thinking: nothing that was asked for is there."""
    output = {"content": [{"type": "thinking", "thinking": SECRET}], "stop_reason": "max_tokens"}
    judged = judge("anthropic", output)
    assert (judged.ended, judged.finding) == (TRUNCATED, "empty")
    assert judged.reason == "empty: the answer has reasoning, but no text; stop reason max_tokens"


def test_image_files_beside_the_lines_are_an_answer() -> None:
    """A line may hold nothing then, because the job wrote the images as files."""
    judged = Judge(family_by_name("amazon_images"))(b'{"n": 1}', has_files=True)
    assert (judged.ended, judged.finding) == (OK, None)


def test_a_sentence_as_stop_reason_is_not_counted_by_its_words() -> None:
    """It may hold anything, so the report shows none of it."""
    assert judge("titan_multimodal", {"embedding": [1], "message": "a b"}).stop_reason == "other"


def test_raw_answers_are_all_alike() -> None:
    """The family raw reads nothing, so nothing can be missed."""
    for output in ({}, {"anything": 1}, "text", {"message": "m"}):
        assert judge("raw", output).ended == OK


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ({}, "{}"),
        ([], "[]"),
        ({"b": [1, "x"], "a": None, "a key": 1.5}, '{"a": null, …: number, "b": [number, …]}'),
        ({"a": {"b": {"c": {"d": 1}}}}, '{"a": {"b": {"c": {…}}}}'),
        ({str(i): True for i in range(10)}, "{" + "…: boolean, " * 8 + "…}"),
        ([[[[1]]]], "[[[[…]]]]"),
    ],
)
def test_shapes(value: Any, shape: str) -> None:
    """Keys and types, up to three levels and eight keys."""
    assert shape_of(value) == shape
