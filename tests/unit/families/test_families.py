"""Model families: the bodies they build, the answers they read, and the family of a model id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import botocore.validate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock_spark.config import ModelConfig, RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import (
    FAMILIES,
    Answer,
    bare_model_id,
    family_by_name,
    family_of,
    family_of_model,
    invocation_of,
)
from tests.unit.fakes import ACCOUNT, CLAUDE_MODEL, DATA, make_config

FULL = {
    "prompt": "Q {{ a }}",
    "max_tokens": 7,
    "temperature": 0,
    "top_p": 0.5,
    "stop": ["END"],
}


def build(family: str, **request: Any) -> dict[str, Any]:
    return family_by_name(family).build(RequestConfig(**request), "")


def lines_of(name: str) -> Iterator[dict[str, Any]]:
    for line in (DATA / name).read_text(encoding="utf-8").split("\n"):
        if line:
            yield json.loads(line)


def test_an_anthropic_body_is_a_messages_request() -> None:
    """Every option becomes a member of the body. Placeholders stay for the template."""
    assert build("anthropic", **FULL, system="S {{ b }}") == {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 7,
        "system": "S {{ b }}",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Q {{ a }}"}]}],
        "temperature": 0,
        "top_p": 0.5,
        "stop_sequences": ["END"],
    }


def test_a_titan_text_body_has_its_options_in_one_object() -> None:
    """The members are inputText and textGenerationConfig."""
    assert build("titan_text", **FULL) == {
        "inputText": "Q {{ a }}",
        "textGenerationConfig": {
            "maxTokenCount": 7,
            "temperature": 0,
            "topP": 0.5,
            "stopSequences": ["END"],
        },
    }


def test_a_converse_body_is_a_request_without_its_model_id() -> None:
    """botocore's model of Converse accepts it."""
    body = build("converse", **FULL, system="S {{ b }}")
    assert body == {
        "messages": [{"role": "user", "content": [{"text": "Q {{ a }}"}]}],
        "system": [{"text": "S {{ b }}"}],
        "inferenceConfig": {
            "maxTokens": 7,
            "temperature": 0,
            "topP": 0.5,
            "stopSequences": ["END"],
        },
    }
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    shape = model.operation_model("Converse").input_shape
    report = botocore.validate.ParamValidator().validate({"modelId": "m", **body}, shape)
    assert not report.has_errors(), report.generate_report()


def test_a_titan_embedding_body_is_its_text() -> None:
    """The prompt is the text to embed."""
    assert build("titan_embeddings", prompt="{{ a }}") == {"inputText": "{{ a }}"}


@pytest.mark.parametrize(
    ("family", "body"),
    [
        ("titan_text", {"inputText": "Q"}),
        ("converse", {"messages": [{"role": "user", "content": [{"text": "Q"}]}]}),
    ],
)
def test_an_option_that_is_not_set_is_not_sent(family: str, body: dict[str, Any]) -> None:
    """No nulls and no empty objects, so that the model's own defaults apply."""
    assert build(family, prompt="Q") == body


EXTRAS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("anthropic", {"max_tokens": 5, "top_k": 9}, {"top_k": 9}),
    ("nova", {"top_k": 9}, {"inferenceConfig": {"topK": 9}}),
    ("nova", {"top_k": 0, "max_tokens": 5}, {"inferenceConfig": {"maxTokens": 5, "topK": 0}}),
    ("cohere_command", {"top_k": 9}, {"k": 9}),
    ("cohere_command_r", {"top_k": 9, "seed": 0}, {"k": 9, "seed": 0}),
    ("mistral_instruct", {"top_k": 9}, {"top_k": 9}),
    ("titan_embeddings", {"dimensions": 256}, {"dimensions": 256}),
    ("titan_multimodal", {"dimensions": 384}, {"embeddingConfig": {"outputEmbeddingLength": 384}}),
    (
        "cohere_embed",
        {"dimensions": 512, "input_type": "search_query", "embedding_types": ["float", "int8"]},
        {
            "output_dimension": 512,
            "input_type": "search_query",
            "embedding_types": ["float", "int8"],
        },
    ),
    *(
        (
            "nova_embeddings",
            {"dimensions": 384, "input_type": input_type},
            {
                "singleEmbeddingParams": {
                    "embeddingPurpose": purpose,
                    "embeddingDimension": 384,
                    "text": {"truncationMode": "NONE", "value": "Q {{ a }}"},
                }
            },
        )
        for input_type, purpose in (
            ("search_document", "GENERIC_INDEX"),
            ("search_query", "GENERIC_RETRIEVAL"),
            ("classification", "CLASSIFICATION"),
            ("clustering", "CLUSTERING"),
        )
    ),
    (
        "amazon_images",
        {"width": 512, "height": 256, "seed": 4, "negative_prompt": "{{ b }}"},
        {
            "imageGenerationConfig": {"width": 512, "height": 256, "seed": 4},
            "textToImageParams": {"text": "Q {{ a }}", "negativeText": "{{ b }}"},
        },
    ),
    (
        "stability",
        {"aspect_ratio": "16:9", "seed": 4, "negative_prompt": "N"},
        {"aspect_ratio": "16:9", "seed": 4, "negative_prompt": "N"},
    ),
    (
        "stability_xl",
        {"width": 512, "height": 256, "seed": 4},
        {"width": 512, "height": 256, "seed": 4},
    ),
]


@pytest.mark.parametrize(("family", "options", "members"), EXTRAS)
def test_the_options_of_a_family_have_the_names_of_its_models(
    family: str, options: dict[str, Any], members: dict[str, Any]
) -> None:
    """They become members of the body, and the body has nothing else that it had not before."""
    required = {"max_tokens": 5} if family == "anthropic" else {}
    plain = build(family, prompt="Q {{ a }}", **required)
    assert build(family, prompt="Q {{ a }}", **options) == {**plain, **members}


def test_every_family_with_options_of_its_own_is_tested() -> None:
    """Each option that a family lists is in the table above."""
    listed = {(f.name, option) for f in FAMILIES for option in f.extras}
    tested = {(name, o) for name, options, _ in EXTRAS for o in options if o != "max_tokens"}
    assert tested == listed


def test_an_empty_system_prompt_is_sent() -> None:
    """The user set it. Only an absent option is left out."""
    assert build("anthropic", prompt="Q", max_tokens=1, system="")["system"] == ""


@pytest.mark.parametrize(
    ("family", "request_", "option"),
    [
        ("titan_text", {"system": "S"}, "system"),
        ("titan_embeddings", {"system": "S"}, "system"),
        ("titan_embeddings", {"max_tokens": 5}, "max_tokens"),
        ("titan_embeddings", {"temperature": 0}, "temperature"),
        ("titan_embeddings", {"top_p": 1}, "top_p"),
        ("titan_embeddings", {"stop": "x"}, "stop"),
        ("anthropic", {}, "max_tokens"),
        ("raw", {}, "prompt"),
    ],
)
def test_an_option_that_a_family_does_not_support_is_refused(
    family: str, request_: dict[str, Any], option: str
) -> None:
    """It is not dropped silently. Also, Anthropic's API requires max_tokens."""
    with pytest.raises(ConfigError, match=rf"^request\.{option}: ") as caught:
        build(family, prompt="secret", **request_)
    assert "secret" not in str(caught.value)


def test_the_recorded_claude_line_is_read() -> None:
    """Bedrock wrote this line."""
    (line,) = lines_of("claude3_haiku_line.jsonl.out")
    answer = family_by_name("anthropic").read(line["modelOutput"])
    assert answer.text is not None
    assert answer.text.startswith("HANSGO Держатель для яиц")
    assert answer == Answer(
        text=answer.text, stop_reason="stop_sequence", input_tokens=111, output_tokens=73
    )


def test_the_titan_example_of_the_documentation_is_read() -> None:
    """The text keeps its newline, and both token counts are read."""
    first, _ = lines_of("docs_success_and_error.jsonl.out")
    assert family_by_name("titan_text").read(first["modelOutput"]) == Answer(
        text="blue\n", stop_reason="FINISH", input_tokens=8, output_tokens=3
    )


def test_a_converse_line_with_null_members_is_read() -> None:
    """A null member counts as absent. Reasoning is not part of the text."""
    (line,) = lines_of("converse_null_members.jsonl.out")
    assert family_by_name("converse").read(line["modelOutput"]) == Answer(
        text="the answer",
        stop_reason="end_turn",
        input_tokens=419,
        output_tokens=377,
        reasoning="thinking hard",
    )


@pytest.mark.parametrize(
    ("family", "output", "answer"),
    [
        (
            "anthropic",
            {
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "x"},
                    {"type": "text", "text": "a"},
                    {"type": "tool_use", "id": "1", "name": "f", "input": {}},
                    {"type": "text", "text": "b"},
                ],
                "stop_reason": None,
            },
            Answer(text="ab", reasoning="hm", tool_input="{}"),
        ),
        ("anthropic", {"content": []}, Answer()),
        ("anthropic", {"content": [{"type": "text", "text": ""}]}, Answer(text="")),
        (
            "titan_text",
            {"results": [{"outputText": "a", "tokenCount": 1}, {"outputText": "b"}]},
            Answer(text="ab", output_tokens=1),
        ),
        ("titan_text", {"results": [{}]}, Answer()),
        (
            "titan_embeddings",
            {"embedding": [0.5, -1], "inputTextTokenCount": 3},
            Answer(embedding=(0.5, -1), input_tokens=3),
        ),
        (
            "titan_embeddings",
            {"embeddingsByType": {"binary": [1], "float": [0.25]}},
            Answer(embedding=(0.25,)),
        ),
        ("titan_embeddings", {"embedding": ["0.5", None]}, Answer()),
        ("converse", {"output": {"message": None}, "usage": None}, Answer()),
        ("converse", {"usage": {"inputTokens": True, "outputTokens": "7"}}, Answer()),
        ("raw", {"anything": 1}, Answer()),
    ],
)
def test_answers(family: str, output: dict[str, Any], answer: Answer) -> None:
    """Text blocks are joined in order. A member that is absent or null is None, not an error."""
    assert family_by_name(family).read(output) == answer


NAMES = st.sampled_from(
    [
        *("content", "text", "stop_reason", "usage", "input_tokens"),
        *("results", "outputText", "tokenCount", "inputTextTokenCount"),
        *("output", "message", "stopReason", "inputTokens"),
        *("embedding", "embeddingsByType", "float", "embeddings"),
        *("choices", "tool_calls", "function", "arguments", "toolUse", "input", "generations"),
        *("reasoningContent", "reasoningText", "reasoning_content", "thinking", "parameters"),
        *("images", "artifacts", "base64", "outputs", "generation", "finish_reasons"),
    ]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=240)  # of which each is read by all families
@given(output=st.dictionaries(NAMES, ANY_JSON))
def test_reading_never_fails(output: dict[str, Any]) -> None:
    """In no family: an answer is paid for, and its JSON is kept in any case."""
    for family in FAMILIES:
        answer = family.read(output)
        for text in (answer.text, answer.reasoning, answer.tool_input, answer.stop_reason):
            assert text is None or isinstance(text, str), family.name
        assert all(isinstance(image, str) for image in answer.images), family.name
        assert all(type(v) in (int, float) for v in answer.embedding or ()), family.name
        for name in ("input", "output", "reasoning", "cache_read", "cache_write"):
            count = getattr(answer, f"{name}_tokens")
            is_count = isinstance(count, int) and not isinstance(count, bool)
            assert count is None or is_count, family.name


FOUNDATION = "arn:aws:bedrock:us-east-1::foundation-model/"
PROFILE = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/"
APPLICATION = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abcdefghijkl"


@pytest.mark.parametrize(
    ("model_id", "bare"),
    [
        (CLAUDE_MODEL, CLAUDE_MODEL),
        *(
            (f"{g}.{CLAUDE_MODEL}", CLAUDE_MODEL)
            for g in ("us", "eu", "apac", "us-gov", "global", "jp", "au")
        ),
        (FOUNDATION + CLAUDE_MODEL, CLAUDE_MODEL),
        (PROFILE + "us." + CLAUDE_MODEL, CLAUDE_MODEL),
        (f"arn:aws-cn:bedrock:cn-north-1::foundation-model/{CLAUDE_MODEL}", CLAUDE_MODEL),
        (FOUNDATION + "anthropic.claude-v2:1:18k", "anthropic.claude-v2:1:18k"),
        (APPLICATION, APPLICATION),
        ("unknown-place.anthropic.claude-v2", "unknown-place.anthropic.claude-v2"),
        ("us.nodots", "us.nodots"),
    ],
)
def test_a_bare_id_has_no_arn_and_no_geography(model_id: str, bare: str) -> None:
    """Both are removed from the start only. An ARN without a model id stays unchanged."""
    assert bare_model_id(model_id) == bare


@pytest.mark.parametrize(
    ("model_id", "family"),
    [
        (CLAUDE_MODEL, "anthropic"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic"),
        ("anthropic.claude-instant-v1", "anthropic"),
        (PROFILE + "eu." + CLAUDE_MODEL, "anthropic"),
        ("amazon.titan-text-express-v1", "titan_text"),
        ("amazon.titan-text-premier-v1:0", "titan_text"),
        ("amazon.titan-tg1-large", "titan_text"),
        (FOUNDATION + "amazon.titan-embed-text-v2:0", "titan_embeddings"),
        ("amazon.titan-embed-text-v1", "titan_embeddings"),
        ("amazon.titan-embed-g1-text-02", "titan_embeddings"),
    ],
)
def test_an_id_decides_the_family(model_id: str, family: str) -> None:
    """With and without ARN and geography."""
    assert family_of_model(ModelConfig(id=model_id)).name == family


@pytest.mark.parametrize("model_id", [APPLICATION, FOUNDATION + "nodots", "Acme.Model", "x"])
def test_an_id_without_a_known_family_needs_model_family(model_id: str) -> None:
    """What is no model id. The message lists the families, and each of them is accepted."""
    with pytest.raises(ConfigError) as caught:
        family_of_model(ModelConfig(id=model_id))
    assert model_id in str(caught.value)
    assert all(f.name in str(caught.value) for f in FAMILIES)
    for family in FAMILIES:
        assert family_of_model(ModelConfig(id=model_id, family=family.name)) is family


def test_with_converse_every_model_has_the_family_converse() -> None:
    """Another family name is a contradiction, and refused."""
    assert family_of_model(ModelConfig(id="meta.llama", invocation="converse")).name == "converse"
    with pytest.raises(ConfigError, match="with invocation converse, leave it out"):
        family_of_model(ModelConfig(id="meta.llama", invocation="converse", family="anthropic"))


def test_a_config_may_insist_on_the_models_own_body() -> None:
    """Then an id needs a known family, and the family converse is a contradiction."""
    with pytest.raises(ConfigError, match="the id does not show its family"):
        family_of_model(ModelConfig(id="xai.grok-4.7", invocation="invoke_model"))
    with pytest.raises(ConfigError, match="leave invocation out"):
        family_of_model(ModelConfig(id=CLAUDE_MODEL, invocation="invoke_model", family="converse"))
    chosen = ModelConfig(id="xai.grok-4.7", invocation="invoke_model", family="gpt_oss")
    assert family_of_model(chosen).name == "gpt_oss"


@pytest.mark.parametrize(
    ("model", "images", "family"),
    [
        ({"id": "us.qwen.qwen3-vl-235b-a22b"}, True, "converse"),
        ({"id": "qwen.qwen3-vl-235b-a22b"}, False, "qwen"),
        ({"id": "qwen.qwen3-32b-v1:0"}, True, "qwen"),
        ({"id": "qwen.qwen3-vl-235b-a22b", "family": "qwen"}, True, "qwen"),
        ({"id": "qwen.qwen3-vl-235b-a22b", "invocation": "invoke_model"}, True, "qwen"),
        ({"id": "eu.mistral.pixtral-large-2502-v1:0"}, True, "converse"),
        ({"id": "mistral.ministral-3-8b-instruct"}, True, "converse"),
        ({"id": "mistral.mistral-large-2407-v1:0"}, True, "mistral_chat"),
        ({"id": "meta.llama4-scout-17b-instruct-v1:0"}, True, "converse"),
        ({"id": "meta.llama3-2-90b-instruct-v1:0"}, True, "converse"),
        ({"id": "meta.llama3-3-70b-instruct-v1:0"}, True, "llama3"),
        ({"id": "writer.palmyra-vision-7b"}, True, "converse"),
        ({"id": CLAUDE_MODEL}, True, "anthropic"),
    ],
)
def test_images_decide_how_a_vision_model_is_asked(
    model: dict[str, str], images: bool, family: str
) -> None:
    """Through Converse, if its own body takes none. A config that says how it goes is obeyed."""
    request = {"prompt": "{{ a }}", "max_tokens": 9, **({"images": "photo"} if images else {})}
    config = make_config(model=model, request=request)
    assert family_of(config).name == family
    assert invocation_of(config) == ("converse" if family == "converse" else "invoke_model")


def test_an_unknown_family_name_is_refused() -> None:
    """The message lists the names of the families."""
    with pytest.raises(ConfigError, match=r"model.family = 'antropic': must be one of anthropic, "):
        family_of_model(ModelConfig(id=CLAUDE_MODEL, family="antropic"))


def test_the_readme_counts_the_families() -> None:
    """Those with a body of their own: `converse` and `raw` have none."""
    text = (Path(__file__).parents[3] / "README.md").read_text("utf-8")
    assert f"for [{len(FAMILIES) - 2} model families]" in text
