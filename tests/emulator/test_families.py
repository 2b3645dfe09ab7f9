"""Request and response bodies of each family: documented bodies are accepted, others refused."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import pytest

from bedrock_emulator.answers.deterministic import DeterministicBackend
from bedrock_emulator.answers.tokens import count_tokens
from bedrock_emulator.families import converse
from bedrock_emulator.families.family import BodyError, Context, Head, read_body
from bedrock_emulator.families.registry import FAMILIES, family_of
from bedrock_emulator.models.catalog import listed_model_ids

TEXT = "Which words of this question come back in the answer?"
MESSAGES = [{"role": "user", "content": TEXT}]
_CLAUDE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 30, "messages": MESSAGES}

# Model, a valid body, the path of the text in the answer, and a body that is refused.
TEXT_CASES: list[tuple[str, dict[str, Any], list[str | int], dict[str, Any]]] = [
    (
        "anthropic.claude-3-haiku-20240307-v1:0",
        _CLAUDE,
        ["content", 0, "text"],
        {"max_tokens": 5, "messages": MESSAGES},
    ),
    (
        "amazon.nova-lite-v1:0",
        {
            "messages": [{"role": "user", "content": [{"text": TEXT}]}],
            "inferenceConfig": {"maxTokens": 30},
        },
        ["output", "message", "content", 0, "text"],
        {"messages": [{"role": "user", "content": TEXT}]},
    ),
    (
        "amazon.titan-text-express-v1",
        {"inputText": TEXT, "textGenerationConfig": {"maxTokenCount": 30}},
        ["results", 0, "outputText"],
        {"prompt": TEXT},
    ),
    (
        "cohere.command-text-v14",
        {"prompt": TEXT, "max_tokens": 30},
        ["generations", 0, "text"],
        {"prompt": ""},
    ),
    (
        "cohere.command-r-v1:0",
        {"message": TEXT, "max_tokens": 30},
        ["text"],
        {"prompt": TEXT},
    ),
    (
        "meta.llama3-8b-instruct-v1:0",
        {"prompt": TEXT, "max_gen_len": 30},
        ["generation"],
        {"prompt": TEXT, "max_tokens": 30},
    ),
    (
        "mistral.mistral-7b-instruct-v0:2",
        {"prompt": TEXT, "max_tokens": 30},
        ["outputs", 0, "text"],
        {"messages": MESSAGES},
    ),
    (
        "mistral.mistral-large-2407-v1:0",
        {"messages": MESSAGES, "max_tokens": 30},
        ["choices", 0, "message", "content"],
        {"prompt": TEXT},
    ),
    (
        "ai21.jamba-1-5-mini-v1:0",
        {"messages": MESSAGES, "max_tokens": 30},
        ["choices", 0, "message", "content"],
        {"messages": []},
    ),
    (
        "ai21.j2-mid-v1",
        {"prompt": TEXT, "maxTokens": 30},
        ["completions", 0, "data", "text"],
        {"prompt": TEXT, "max_tokens": 30},
    ),
    (
        "openai.gpt-oss-20b-1:0",
        {"messages": MESSAGES, "max_completion_tokens": 60},
        ["choices", 0, "message", "content"],
        {"messages": MESSAGES, "max_gen_len": 3},
    ),
    (
        "xai.grok-4.7",
        {"messages": MESSAGES, "max_tokens": 30},
        ["choices", 0, "message", "content"],
        {"prompt": TEXT},
    ),
    (
        "qwen.qwen3-32b-v1:0",
        {"messages": MESSAGES, "max_tokens": 30},
        ["choices", 0, "message", "content"],
        {"messages": [{"role": "nobody", "content": TEXT}]},
    ),
    (
        "deepseek.r1-v1:0",
        {"prompt": TEXT, "max_tokens": 30},
        ["choices", 0, "text"],
        {"messages": MESSAGES},
    ),
    (
        "deepseek.v3-v1:0",
        {"messages": MESSAGES, "max_tokens": 30},
        ["choices", 0, "message", "content"],
        {"prompt": TEXT},
    ),
]
_PAINT = {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": TEXT}}
IMAGE_CASES: list[tuple[str, dict[str, Any], list[str | int]]] = [
    (
        "amazon.nova-canvas-v1:0",
        {**_PAINT, "imageGenerationConfig": {"width": 640, "height": 320}},
        ["images", 0],
    ),
    ("amazon.titan-image-generator-v2:0", _PAINT, ["images", 0]),
    (
        "stability.stable-diffusion-xl-v1",
        {"text_prompts": [{"text": TEXT}]},
        ["artifacts", 0, "base64"],
    ),
    ("stability.sd3-5-large-v1:0", {"prompt": TEXT, "aspect_ratio": "16:9"}, ["images", 0]),
]


_TEXT_PART = {"type": "text", "text": TEXT}
_IMAGE_PART = {"type": "image_url", "image_url": "data:image/png;base64,aGVsbG8="}
NOVA_EMBED = "amazon.nova-2-multimodal-embeddings-v1:0"


def _nova_body(**params: Any) -> dict[str, Any]:
    given = {"embeddingPurpose": "GENERIC_INDEX", **params}
    return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": given}


def _answer(model_id: str, body: dict[str, Any]) -> Any:
    family = family_of(model_id)
    assert family is not None
    return family.answer(read_body(family, body), Context(model_id, DeterministicBackend()))


def _at(value: Any, path: list[str | int]) -> Any:
    for step in path:
        value = value[step]
    return value


@pytest.mark.parametrize(("model_id", "body", "path", "bad"), TEXT_CASES)
def test_text_is_at_the_path_of_its_family(
    model_id: str, body: dict[str, Any], path: list[str | int], bad: dict[str, Any]
) -> None:
    """The answer is the same each time, its tokens are counted, and a wrong body is refused."""
    response = _answer(model_id, body)
    text = _at(response.body, path)
    assert text.strip()
    assert response == _answer(model_id, body)
    assert response.input_tokens == count_tokens(TEXT)
    assert response.output_tokens > 0
    limit = 60 if "gpt-oss" in model_id else 30
    assert count_tokens(text) <= limit
    json.dumps(response.body, allow_nan=False)
    family = family_of(model_id)
    assert family is not None
    with pytest.raises(BodyError):
        read_body(family, bad)


@pytest.mark.parametrize(("model_id", "body", "path", "bad"), TEXT_CASES)
def test_streamed_text_is_the_text(
    model_id: str, body: dict[str, Any], path: list[str | int], bad: dict[str, Any]
) -> None:
    """The pieces of a stream, put together, are the whole answer."""
    del bad
    response = _answer(model_id, body)
    family = family_of(model_id)
    assert family is not None
    if family.name == "jurassic":
        assert family.stream is None
        return
    assert family.stream is not None
    assert family.prompt is not None
    prompt = family.prompt(read_body(family, body))
    pieces = family.backend(DeterministicBackend()).stream(model_id, prompt)
    events = list(family.stream(Head(model_id, "", response.input_tokens), pieces))
    assert len(events) > 2
    text = _at(response.body, path)
    if family.name == "anthropic":
        pieces = [e["delta"]["text"] for e in events if e["type"] == "content_block_delta"]
    elif family.name == "nova":
        deltas = [e["contentBlockDelta"] for e in events if "contentBlockDelta" in e]
        pieces = [delta["delta"]["text"] for delta in deltas]
    elif family.name == "titan-text":
        pieces = [e["outputText"] for e in events]
    elif family.name.startswith("command"):
        pieces = [e.get("text", "") for e in events]
    elif "message" in path and "choices" in path:
        pieces = [e["choices"][0]["delta"].get("content", "") for e in events]
    else:
        pieces = [_at(e, path) for e in events]
    # In a stream every piece of reasoning has its own pair of tags.
    assert "".join(pieces).replace("</reasoning><reasoning>", "") == text


@pytest.mark.parametrize(("model_id", "body", "path"), IMAGE_CASES)
def test_images_are_small_valid_pngs(
    model_id: str, body: dict[str, Any], path: list[str | int]
) -> None:
    """The signature, the checksums of the chunks and the number of pixels are right."""
    png = base64.b64decode(_at(_answer(model_id, body).body, path))
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    position, data, kinds = 8, b"", []
    while position < len(png):
        (size,) = struct.unpack(">I", png[position : position + 4])
        kind = png[position + 4 : position + 8]
        content = png[position + 8 : position + 8 + size]
        (checksum,) = struct.unpack(">I", png[position + 8 + size : position + 12 + size])
        assert zlib.crc32(kind + content) == checksum
        if kind == b"IHDR":
            width, height = struct.unpack(">II", content[:8])
        if kind == b"IDAT":
            data += content
        kinds.append(kind)
        position += 12 + size
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    assert 0 < width <= 64
    assert 0 < height <= 64
    assert len(zlib.decompress(data)) == height * (1 + 3 * width)
    if model_id.startswith("amazon.nova-canvas"):
        assert width == 2 * height


@pytest.mark.parametrize(
    ("model_id", "body", "lengths"),
    [
        ("amazon.titan-embed-text-v1", {"inputText": TEXT}, [1536]),
        ("amazon.titan-embed-text-v2:0", {"inputText": TEXT, "dimensions": 256}, [256]),
        ("amazon.titan-embed-image-v1", {"inputText": TEXT}, [1024]),
        (
            "cohere.embed-english-v3",
            {"texts": [TEXT, "b"], "input_type": "search_document"},
            [1024, 1024],
        ),
        (
            "cohere.embed-v4:0",
            {"texts": [TEXT], "input_type": "clustering", "output_dimension": 256},
            [256],
        ),
        (
            "cohere.embed-v4:0",
            {"inputs": [{"content": [_TEXT_PART, _IMAGE_PART]}], "input_type": "search_query"},
            [1536],
        ),
    ],
)
def test_embeddings_have_their_length(
    model_id: str, body: dict[str, Any], lengths: list[int]
) -> None:
    """One vector per text, with the requested dimensions."""
    response = _answer(model_id, body).body
    vectors = [response["embedding"]] if "embedding" in response else response["embeddings"]
    assert [len(vector) for vector in vectors] == lengths


def test_nova_embeds_one_text_or_one_image() -> None:
    """Each in its kind, and with the length that is asked for."""
    for kind, given in (
        ("TEXT", {"text": {"truncationMode": "NONE", "value": TEXT}}),
        ("IMAGE", {"image": {"format": "png", "source": {"bytes": "aGVsbG8="}}}),
    ):
        body = _nova_body(embeddingDimension=384, **given)
        (found,) = _answer(NOVA_EMBED, body).body["embeddings"]
        assert (found["embeddingType"], len(found["embedding"])) == (kind, 384)


@pytest.mark.parametrize(
    ("model_id", "body"),
    [
        (
            "cohere.embed-english-v3",
            {"texts": ["a"], "input_type": "clustering", "output_dimension": 256},
        ),
        (
            "cohere.embed-v4:0",
            {"texts": ["a"], "input_type": "clustering", "output_dimension": 300},
        ),
        ("cohere.embed-v4:0", {"inputs": [{"content": ["a"]}], "input_type": "clustering"}),
        (
            "cohere.embed-v4:0",
            {"texts": ["a"], "inputs": [{"content": [_TEXT_PART]}], "input_type": "clustering"},
        ),
        (
            "cohere.embed-v4:0",
            {
                "inputs": [{"content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}],
                "input_type": "clustering",
            },
        ),
        (NOVA_EMBED, _nova_body()),
        (
            NOVA_EMBED,
            _nova_body(embeddingDimension=512, text={"truncationMode": "END", "value": "a"}),
        ),
        (NOVA_EMBED, _nova_body(text={"value": "a"})),
    ],
)
def test_what_an_embedding_model_does_not_know_is_refused(
    model_id: str, body: dict[str, Any]
) -> None:
    """Lengths, two inputs at once, parts of another API, a missing member."""
    family = family_of(model_id)
    assert family is not None
    with pytest.raises(BodyError):
        read_body(family, body)


def test_titan_v2_returns_the_requested_types() -> None:
    """Binary without float leaves `embedding` out."""
    body = {"inputText": TEXT, "embeddingTypes": ["binary"]}
    response = _answer("amazon.titan-embed-text-v2:0", body).body
    assert "embedding" not in response
    assert set(response["embeddingsByType"]["binary"]) == {0, 1}


def test_cohere_packs_types() -> None:
    """The values of each type are within its range; eight bits make a number."""
    body = {
        "texts": ["a"],
        "input_type": "clustering",
        "embedding_types": ["float", "int8", "uint8", "binary", "ubinary"],
    }
    response = _answer("cohere.embed-english-v3", body).body["embeddings"]
    assert len(response["binary"][0]) == 128
    assert all(-128 <= value <= 127 for value in response["int8"][0] + response["binary"][0])
    assert all(0 <= value <= 255 for value in response["uint8"][0] + response["ubinary"][0])


def test_gpt_oss_has_null_content_if_the_token_limit_is_too_low() -> None:
    """Real clients fail on the null. Otherwise the text starts with the reasoning."""
    model_id = "openai.gpt-oss-20b-1:0"
    short = _answer(model_id, {"messages": MESSAGES, "max_tokens": 5}).body["choices"][0]
    assert (short["message"]["content"], short["finish_reason"]) == (None, "length")
    long = _answer(model_id, {"messages": MESSAGES, "max_tokens": 90}).body["choices"][0]
    assert long["message"]["content"].startswith("<reasoning>")


def test_stop_reasons_and_sequences() -> None:
    """max_tokens, end_turn and stop_sequence, each with a text that fits it."""
    cut = _answer("anthropic.claude-3-haiku-20240307-v1:0", {**_CLAUDE, "max_tokens": 3}).body
    assert (cut["stop_reason"], cut["usage"]["output_tokens"]) == ("max_tokens", 3)
    whole = _answer("anthropic.claude-3-haiku-20240307-v1:0", {**_CLAUDE, "max_tokens": 500}).body
    assert whole["stop_reason"] == "end_turn"
    word = whole["content"][0]["text"].split()[4]
    body = {**_CLAUDE, "max_tokens": 500, "stop_sequences": [word]}
    stopped = _answer("anthropic.claude-3-haiku-20240307-v1:0", body).body
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", word)
    assert word not in stopped["content"][0]["text"]


def test_answers_echo_the_question() -> None:
    """A reader can see which answer belongs to which row."""
    answer = _answer("anthropic.claude-3-haiku-20240307-v1:0", {**_CLAUDE, "max_tokens": 200})
    text = answer.body["content"][0]["text"].lower()
    assert any(word in text for word in ("which", "words", "question", "come", "back", "answer"))


def test_every_family_has_a_model_in_the_catalog() -> None:
    """Every family has a listed model, and every listed model has a family."""
    families = {model_id: family_of(model_id) for model_id in listed_model_ids()}
    assert set(families.values()) == set(FAMILIES)
    embeddings = [
        model_id
        for model_id, family in families.items()
        if family is not None and family.output_modalities == ("EMBEDDING",)
    ]
    assert all("embed" in model_id for model_id in embeddings)
    assert len(embeddings) >= 7


_SHAPED = 'Answer with JSON: {"label": "bug|wish", "score": 0 to 1}. The export crashes.'
_SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["bug", "wish"]}, "score": {"type": "number", "maximum": 1}},
}


def _text_at(response: Any, path: list[str | int]) -> str:
    text: str = _at(response.body, path)
    return text.rsplit("</reasoning>", 1)[-1]  # gpt-oss begins with its reasoning


@pytest.mark.parametrize(("model_id", "body", "path", "_bad"), TEXT_CASES)
def test_every_family_answers_a_shape_in_the_prompt_with_json(
    model_id: str, body: dict[str, Any], path: list[str | int], _bad: dict[str, Any]
) -> None:
    """Whatever the member is called that holds the prompt."""
    asked = json.loads(json.dumps(body).replace(json.dumps(TEXT)[1:-1], json.dumps(_SHAPED)[1:-1]))
    value = json.loads(_text_at(_answer(model_id, asked), path))
    assert list(value) == ["label", "score"]
    assert value["label"] == "bug"
    assert 0 <= value["score"] <= 1


_WITH_SCHEMA: list[tuple[str, dict[str, Any]]] = [
    ("anthropic.claude-3-haiku-20240307-v1:0",
     {"output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}}}),
    ("openai.gpt-oss-20b-1:0",
     {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": _SCHEMA}}}),
    ("qwen.qwen3-32b-v1:0",
     {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": _SCHEMA}}}),
    ("cohere.command-r-v1:0", {"response_format": {"type": "json_object", "schema": _SCHEMA}}),
]  # fmt: skip


@pytest.mark.parametrize(("model_id", "output"), _WITH_SCHEMA)
def test_a_schema_in_the_request_shapes_the_answer(model_id: str, output: dict[str, Any]) -> None:
    """In each place where a family has one, also if the prompt shows another shape."""
    _, body, path, _ = next(case for case in TEXT_CASES if case[0] == model_id)
    value = json.loads(_text_at(_answer(model_id, {**body, **output}), path))
    assert list(value) == ["label", "score"]
    assert value["score"] <= 1


def test_converse_answers_a_schema_with_json() -> None:
    """Its schema is a JSON text."""
    schema = {"jsonSchema": {"name": "a", "schema": json.dumps(_SCHEMA)}}
    body = {
        "messages": [{"role": "user", "content": [{"text": "The export crashes."}]}],
        "outputConfig": {"textFormat": {"type": "json_schema", "structure": schema}},
    }
    context = Context("amazon.nova-lite-v1:0", DeterministicBackend())
    response = converse.answer(body, context)
    value = json.loads(response.body["output"]["message"]["content"][0]["text"])
    assert value["label"] == "bug"


_IMAGE_URL = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
_SYSTEM = {"role": "system", "content": "Be brief"}
_NOVA_SYSTEM = {"role": "system", "content": [{"text": "Be brief"}]}


@pytest.mark.parametrize(
    ("model_id", "body", "place"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0",
         {**_CLAUDE, "messages": [{"role": "user", "content": _IMAGE_URL}]}, "messages.0.content"),
        ("anthropic.claude-3-haiku-20240307-v1:0",
         {**_CLAUDE, "messages": [_SYSTEM, *MESSAGES]}, "messages.0.role"),
        ("anthropic.claude-3-haiku-20240307-v1:0", {**_CLAUDE, "temperature": 1.5}, "temperature"),
        ("amazon.nova-lite-v1:0",
         {"messages": [{"role": "user", "content": _IMAGE_URL}]}, "messages.0.content.0"),
        ("amazon.nova-lite-v1:0", {"messages": [_NOVA_SYSTEM]}, "messages.0.role"),
        ("amazon.titan-embed-text-v2:0", {"inputText": ["a", "b"]}, "inputText"),
        ("amazon.titan-text-express-v1",
         {"inputText": TEXT, "textGenerationConfig": {"temperature": 2}},
         "textGenerationConfig.temperature"),
        ("meta.llama3-8b-instruct-v1:0", {"prompt": TEXT, "temperature": -1}, "temperature"),
    ],
)  # fmt: skip
def test_what_is_written_for_another_api_is_refused(
    model_id: str, body: dict[str, Any], place: str
) -> None:
    """OpenAI's image parts, a system role, a list of texts, a temperature of another range."""
    family = family_of(model_id)
    assert family is not None
    with pytest.raises(BodyError) as error:
        read_body(family, body)
    assert error.value.message.startswith(place)
