"""The local Bedrock accepts every family's request body, and the family reads the answer.

The local Bedrock has its own code for the families: if the two disagree, one of them is wrong.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from bedrock_emulator import LocalBedrock
from bedrock_spark.config import ModelConfig, RequestConfig
from bedrock_spark.families import (
    FAMILIES,
    Answer,
    bare_model_id,
    family_by_name,
    family_of_model,
)
from bedrock_spark.outputs.judge import Judge
from bedrock_spark.outputs.outcomes import OK, REFUSED, TRUNCATED

QUESTION = "Which words of this question come back in the answer?"
CHAT = {"system": "Be brief.", "max_tokens": 300, "temperature": 0.5, "top_p": 0.9, "stop": ["ZZ"]}
# Family, model, the options that the family supports, whether its answer has token counts.
TEXT: list[tuple[str, str, tuple[str, ...], bool]] = [
    ("anthropic", "anthropic.claude-3-haiku-20240307-v1:0", tuple(CHAT), True),
    ("nova", "us.amazon.nova-lite-v1:0", tuple(CHAT), True),
    ("titan_text", "amazon.titan-text-express-v1", tuple(CHAT)[1:], True),
    ("cohere_command", "cohere.command-text-v14", tuple(CHAT)[1:], False),
    ("cohere_command_r", "cohere.command-r-v1:0", tuple(CHAT), False),
    ("llama3", "us.meta.llama3-3-70b-instruct-v1:0", tuple(CHAT)[:4], True),
    ("llama4", "meta.llama4-scout-17b-instruct-v1:0", tuple(CHAT)[:4], True),
    ("mistral_instruct", "mistral.mistral-7b-instruct-v0:2", tuple(CHAT), False),
    ("mistral_chat", "mistral.mistral-large-2407-v1:0", tuple(CHAT)[:4], True),
    ("mistral_chat", "mistral.ministral-3-8b-instruct", tuple(CHAT)[:4], True),
    ("jamba", "ai21.jamba-1-5-mini-v1:0", tuple(CHAT), True),
    ("gpt_oss", "openai.gpt-oss-120b-1:0", tuple(CHAT), True),
    ("qwen", "qwen.qwen3-32b-v1:0", tuple(CHAT), True),
    ("deepseek_r1", "us.deepseek.r1-v1:0", tuple(CHAT)[1:], False),
    ("deepseek_v3", "deepseek.v3-v1:0", tuple(CHAT), True),
]
EMBEDDINGS = [
    ("titan_embeddings", "amazon.titan-embed-text-v1", 1536),
    ("titan_embeddings", "amazon.titan-embed-text-v2:0", 1024),
    ("titan_multimodal", "amazon.titan-embed-image-v1", 1024),
    ("cohere_embed", "cohere.embed-english-v3", 1024),
    ("cohere_embed", "us.cohere.embed-v4:0", 1536),
    ("nova_embeddings", "amazon.nova-2-multimodal-embeddings-v1:0", 3072),
]
# Model, what is asked for, whether the answer shows the thinking.
THINKING: list[tuple[str, Any, bool]] = [
    ("us.anthropic.claude-haiku-4-5-20251001-v1:0", {"budget_tokens": 2_000}, True),
    ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "low", True),
    ("us.anthropic.claude-sonnet-4-6", "medium", True),
    ("us.anthropic.claude-opus-4-8", "low", False),
    ("us.amazon.nova-2-lite-v1:0", "low", True),
    ("qwen.qwen3-32b-v1:0", "high", True),
    ("deepseek.v3.2", "low", True),
]
IMAGES = [
    ("amazon_images", "amazon.titan-image-generator-v2:0"),
    ("amazon_images", "amazon.nova-canvas-v1:0"),
    ("stability", "stability.sd3-5-large-v1:0"),
    ("stability", "stability.stable-image-core-v1:1"),
    ("stability_xl", "stability.stable-diffusion-xl-v1"),
]
ENDS = {"end_turn", "FINISH", "COMPLETE", "stop", "tool_calls", "tool_use", "max_tokens", "length"}


@pytest.fixture(scope="module")
def local() -> Iterator[LocalBedrock]:
    """Return one local Bedrock for the whole module."""
    with LocalBedrock(speed=0) as local:
        yield local


@pytest.fixture(scope="module")
def runtime(local: LocalBedrock) -> Any:
    """Return a client of it."""
    return local.client("bedrock-runtime")


def invoke(runtime: Any, model: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = runtime.invoke_model(modelId=model, body=json.dumps(body))
    answer: dict[str, Any] = json.loads(reply["body"].read())
    return answer


def ask(runtime: Any, family: str, model: str, **options: Any) -> Answer:
    """Ask the question with the family's request body; return the answer as the family reads it."""
    builder = family_by_name(family)
    body = builder.build(RequestConfig(prompt=QUESTION, **options), bare_model_id(model))
    return builder.read(invoke(runtime, model, body))


@pytest.mark.parametrize(("family", "model", "options", "counts"), TEXT)
def test_text_is_asked_for_and_read(
    runtime: Any, family: str, model: str, options: tuple[str, ...], counts: bool
) -> None:
    """With all options of the family: text, stop reason, and tokens if the answer has them."""
    answer = ask(runtime, family, model, **{name: CHAT[name] for name in options})
    assert answer.text is not None
    assert answer.text.strip()
    assert not answer.text.startswith("<")
    assert answer.stop_reason in ENDS
    assert (answer.input_tokens is not None, answer.output_tokens is not None) == (counts, counts)
    assert (answer.embedding, answer.images, answer.tool_input) == (None, (), None)
    assert (answer.reasoning is not None) == (family == "gpt_oss")


@pytest.mark.parametrize(("model", "thinking", "is_shown"), THINKING)
def test_thinking_is_asked_for_and_read(
    runtime: Any, model: str, thinking: Any, is_shown: bool
) -> None:
    """The local Bedrock takes the body of every way to ask, and answers with more tokens."""
    plain, thought = (
        ask(runtime, family_of_model(ModelConfig(id=model)).name, model, **options)
        for options in ({"max_tokens": 3_000}, {"max_tokens": 3_000, "thinking": thinking})
    )
    assert thought.text == plain.text
    assert plain.output_tokens is not None
    assert thought.output_tokens is not None
    assert thought.output_tokens > plain.output_tokens
    assert bool(thought.reasoning) == is_shown


@pytest.mark.parametrize(("family", "model", "length"), EMBEDDINGS)
def test_a_vector_is_asked_for_and_read(runtime: Any, family: str, model: str, length: int) -> None:
    """It has the default length of the model."""
    answer = ask(runtime, family, model)
    assert answer.embedding is not None
    assert len(answer.embedding) == length
    assert (answer.input_tokens is None) == (family in ("cohere_embed", "nova_embeddings"))
    assert (answer.text, answer.images) == (None, ())


@pytest.mark.parametrize(("family", "model"), IMAGES)
def test_an_image_is_asked_for_and_read(runtime: Any, family: str, model: str) -> None:
    """It is the base64 text of a PNG."""
    (image,) = ask(runtime, family, model).images
    assert base64.b64decode(image, validate=True).startswith(b"\x89PNG")


def test_a_model_of_no_known_family_is_asked_through_converse_and_thinks(runtime: Any) -> None:
    """As a run would ask it, with the effort in its own place."""
    model = ModelConfig(id="us.xai.grok-4.7")
    family = family_of_model(model)
    request = RequestConfig(prompt=QUESTION, max_tokens=300, thinking={"effort": "low"})
    reply = runtime.converse(modelId=model.id, **family.build(request, bare_model_id(model.id)))
    answer = family.read({k: v for k, v in reply.items() if k != "ResponseMetadata"})
    assert (family.name, answer.stop_reason) == ("converse", "end_turn")
    assert answer.text is not None
    assert answer.reasoning is not None


def test_converse_is_asked_for_and_read(runtime: Any) -> None:
    """One request format serves all chat models."""
    family = family_by_name("converse")
    body = family.build(RequestConfig(prompt=QUESTION, **CHAT), "")
    reply = runtime.converse(modelId="us.amazon.nova-lite-v1:0", **body)
    answer = family.read({k: v for k, v in reply.items() if k != "ResponseMetadata"})
    assert answer.text is not None
    assert (answer.stop_reason, answer.input_tokens is None) == ("end_turn", False)


TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
MESSAGES = [{"role": "user", "content": "Where is it?"}]
OPENAI_TOOLS = {
    "messages": MESSAGES,
    "max_tokens": 200,
    "tools": [{"type": "function", "function": {"name": "find", "parameters": TOOL}}],
    "tool_choice": "required",
}
TOOL_CALLS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "anthropic",
        "anthropic.claude-3-haiku-20240307-v1:0",
        {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 200,
            "messages": MESSAGES,
            "tools": [{"name": "find", "input_schema": TOOL}],
            "tool_choice": {"type": "any"},
        },
    ),
    (
        "nova",
        "amazon.nova-lite-v1:0",
        {
            "messages": [{"role": "user", "content": [{"text": "Where is it?"}]}],
            "toolConfig": {
                "tools": [{"toolSpec": {"name": "find", "inputSchema": {"json": TOOL}}}],
                "toolChoice": {"any": {}},
            },
        },
    ),
    ("mistral_chat", "mistral.mistral-large-2407-v1:0", OPENAI_TOOLS),
    ("qwen", "qwen.qwen3-32b-v1:0", OPENAI_TOOLS),
    ("gpt_oss", "openai.gpt-oss-20b-1:0", OPENAI_TOOLS),
]


@pytest.mark.parametrize(("family", "model", "body"), TOOL_CALLS)
def test_the_input_of_a_tool_call_is_read(
    runtime: Any, family: str, model: str, body: dict[str, Any]
) -> None:
    """It is JSON text, in whatever form the model returns it."""
    answer = family_by_name(family).read(invoke(runtime, model, body))
    assert answer.tool_input is not None
    assert set(json.loads(answer.tool_input)) == {"city"}


def test_null_content_of_gpt_oss_is_read(runtime: Any) -> None:
    """If max_tokens is too low there is no text, and the stop reason says why."""
    answer = ask(runtime, "gpt_oss", "openai.gpt-oss-20b-1:0", max_tokens=2)
    assert (answer.text, answer.stop_reason) == (None, "length")


# Their answers have no word for a refusal.
NO_REFUSAL = ("llama3", "llama4", "mistral_instruct", "deepseek_r1")
LONG = " ".join(["word"] * 300)


@pytest.mark.parametrize(("family", "model"), [(row[0], row[1]) for row in TEXT])
@pytest.mark.parametrize(
    ("rule", "max_tokens", "ended", "finding"),
    [
        ({"text": LONG}, 100, TRUNCATED, None),
        ({"text": LONG}, 400, OK, None),
        ({"thinks": 150, "text": "Done."}, 100, TRUNCATED, "empty"),
        ({"thinks": 150, "text": "Done."}, 400, OK, None),
        ({"refuses": True}, 100, REFUSED, None),
    ],
)
def test_each_ending_has_its_outcome(
    local: LocalBedrock,
    runtime: Any,
    family: str,
    model: str,
    rule: dict[str, Any],
    max_tokens: int,
    ended: str,
    finding: str | None,
) -> None:
    """In the words of each family; and a higher limit makes a cut answer whole."""
    local.set_answers(rule)
    try:
        builder = family_by_name(family)
        request = RequestConfig(prompt=QUESTION, max_tokens=max_tokens)
        answer = invoke(runtime, model, builder.build(request, bare_model_id(model)))
    finally:
        local.set_answers()
    judged = Judge(builder)(json.dumps(answer).encode())
    expected = OK if ended == REFUSED and family in NO_REFUSAL else ended
    assert (judged.ended, judged.finding) == (expected, finding)


def test_every_family_is_asked() -> None:
    """All but raw, which builds no request body."""
    asked = {row[0] for table in (TEXT, EMBEDDINGS, IMAGES) for row in table} | {"converse"}
    assert asked == {f.name for f in FAMILIES} - {"raw"}
