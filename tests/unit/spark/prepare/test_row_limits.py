"""Rows whose text a model would refuse are rejected, with a reason that holds no data."""

from __future__ import annotations

import json
import sys
from typing import Any

import pyarrow as pa
import pytest

from bedrock_spark.families import FAMILIES
from bedrock_spark.families.request_body import body_template
from bedrock_spark.spark.prepare.render import ANY_ID, body_of, render_lines
from bedrock_spark.templates.text_check import BLANK
from tests.unit.fakes import CLAUDE, make_config

# An example of each family, and the most characters of its texts.
MODELS: dict[str, tuple[str, int | None]] = {
    "anthropic": (CLAUDE, None),
    "nova": ("us.amazon.nova-lite-v1:0", None),
    "titan_text": ("amazon.titan-text-express-v1", None),
    "titan_embeddings": ("amazon.titan-embed-text-v2:0", 50_000),
    "titan_multimodal": ("amazon.titan-embed-image-v1", None),
    "nova_embeddings": ("amazon.nova-2-multimodal-embeddings-v1:0", None),
    "amazon_images": ("amazon.nova-canvas-v1:0", 1_024),
    "cohere_command": ("cohere.command-text-v14", None),
    "cohere_command_r": ("cohere.command-r-v1:0", None),
    "cohere_embed": ("cohere.embed-multilingual-v3", 2_048),
    "llama3": ("meta.llama3-1-8b-instruct-v1:0", None),
    "llama4": ("meta.llama4-scout-17b-instruct-v1:0", None),
    "mistral_instruct": ("mistral.mistral-7b-instruct-v0:2", None),
    "mistral_chat": ("mistral.pixtral-large-2502-v1:0", None),
    "jamba": ("ai21.jamba-1-5-mini-v1:0", None),
    "stability": ("stability.sd3-5-large-v1:0", 10_000),
    "stability_xl": ("stability.stable-diffusion-xl-v1", None),
    "gpt_oss": ("openai.gpt-oss-20b-1:0", None),
    "qwen": ("qwen.qwen3-32b-v1:0", None),
    "deepseek_r1": ("deepseek.r1-v1:0", None),
    "deepseek_v3": ("deepseek.v3-v1:0", None),
}
OTHERS = (
    ("amazon.titan-image-generator-v2:0", 512),
    ("eu.cohere.embed-english-v3", 2_048),
    ("amazon.titan-embed-text-v1", 50_000),
)
# One request is rendered column by column, one row by row.
PROMPTS = ("{{ body }}", "{{ body | replace('#', '') }}")
BLANKS = ("", " ", "\n\t \r", "\u3000\u00a0", "\x1c\x85")


def rejected(texts: list[Any], model: str, request: dict[str, Any], **more: Any) -> dict[int, str]:
    """Return why rows are rejected, by their numbers."""
    config = make_config(request=request, model={"id": model, **more.pop("through", {})}, **more)
    batch = pa.RecordBatch.from_arrays([pa.array(texts)], names=["body"])
    ids = pa.repeat(ANY_ID, len(texts))
    lines, rejects = render_lines(ids, batch, body_template(config), 25_000_000)
    for i, line in enumerate(lines.to_pylist()):
        assert (line is None) == (i in rejects)
        assert line is None or json.loads(body_of(line))
    assert {reject.column for reject in rejects.values()} <= {"body"}
    return {row: reject.reason for row, reject in rejects.items()}


def request_of(model: str, prompt: str) -> dict[str, Any]:
    return {"prompt": prompt, **({"max_tokens": 9} if "claude" in model else {})}


def test_each_family_has_its_row() -> None:
    """Converse and raw are tested below."""
    assert set(MODELS) == {family.name for family in FAMILIES} - {"converse", "raw"}


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("family", MODELS)
def test_a_blank_text_is_rejected(family: str, prompt: str) -> None:
    """Empty, or white space of any script: the model would be asked nothing."""
    model, _ = MODELS[family]
    texts = [*BLANKS, "a", " é ", "\n漢", "\\n"]
    assert rejected(texts, model, request_of(model, prompt)) == dict.fromkeys(
        range(len(BLANKS)), BLANK
    )


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize(
    ("model", "most"), [*((m, n) for m, n in MODELS.values() if n is not None), *OTHERS]
)
def test_a_text_above_the_limit_is_rejected(model: str, most: int, prompt: str) -> None:
    """Characters count, not bytes, not UTF-16 units, not JSON escapes."""
    letters = ("a", "é", "漢", "🦀", '"', "\n")
    at = [letter * (most - 1) + "z" for letter in letters]
    above = [text + "z" for text in at]
    reason = f"makes a text of more than {most:,} characters, the most the model takes"
    assert rejected([*at, *above], model, request_of(model, prompt)) == dict.fromkeys(
        range(len(letters), 2 * len(letters)), reason
    )


@pytest.mark.parametrize("model", ["cohere.embed-v4:0", CLAUDE])
def test_a_model_without_a_known_limit_takes_long_texts(model: str) -> None:
    assert not rejected(["a" * 200_000], model, request_of(model, "{{ body }}"))


@pytest.mark.parametrize("prompt", ["Text: {{ body }}", "{{ body }}{{ body }}"])
def test_the_whole_text_counts(prompt: str) -> None:
    """With what is around the placeholder, and every placeholder."""
    fits = {"Text: {{ body }}": 2_042, "{{ body }}{{ body }}": 1_024}[prompt]
    model = "cohere.embed-english-v3"
    found = rejected(["a" * fits, "a" * (fits + 1)], model, request_of(model, prompt))
    assert list(found) == [1]
    assert bool(rejected([""], model, request_of(model, prompt))) == (not prompt.startswith("Te"))


BODIES: list[tuple[str, dict[str, Any]]] = [
    (CLAUDE, {"messages": [{"role": "user", "content": "{{ body }}"}]}),
    (CLAUDE, {"messages": [{"role": "user", "content": [{"type": "text", "text": "{{ body }}"}]}]}),
    ("amazon.titan-embed-text-v2:0", {"inputText": "{{ body }}", "dimensions": 256}),
    ("cohere.embed-english-v3", {"texts": ["title", "{{ body }}"], "input_type": "clustering"}),
    ("meta.llama3-1-8b-instruct-v1:0", {"prompt": " {{ body }}\n"}),
    ("cohere.command-r-v1:0", {"message": "{{ body }}"}),
]


@pytest.mark.parametrize(("model", "body"), BODIES)
def test_texts_of_a_body_of_the_user_are_checked(model: str, body: dict[str, Any]) -> None:
    """In the body's template, and in a body that a column holds."""
    assert rejected(["", " \n", "a"], model, {"body": body}) == {0: BLANK, 1: BLANK}
    bodies = [json.dumps(body).replace("{{ body }}", text) for text in ("", " ", "a")]
    assert rejected(bodies, model, {"body_column": "body"}) == {0: BLANK, 1: BLANK}


def test_long_texts_of_a_body_in_a_column_are_rejected() -> None:
    bodies = [json.dumps({"inputText": "漢" * n}) for n in (50_000, 50_001)]
    (reason,) = rejected(bodies, "amazon.titan-embed-text-v2:0", {"body_column": "body"}).values()
    assert "more than 50,000 characters" in reason


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "a"}], "tools": [{"text": "{{ body }}"}]},
        {"messages": [{"role": "user", "content": "a"}], "system": "{{ body }}"},
        {"messages": [{"content": "{{ body }}", "tool_calls": [{"id": "1"}]}]},
    ],
)
def test_other_texts_may_be_blank(body: dict[str, Any]) -> None:
    """Definitions of tools, a system prompt that is no block, the content beside a tool call."""
    assert not rejected(["", "a"], CLAUDE, {"body": body})


def test_blank_system_blocks_are_rejected_through_converse() -> None:
    """Converse refuses blank text in every block."""
    request = {"prompt": "Sort", "system": "{{ body }}"}
    through = {"invocation": "converse"}
    assert rejected(["", "a"], CLAUDE, request, through=through) == {0: BLANK}
    assert rejected([" "], CLAUDE, {"prompt": "{{ body }}"}, through=through) == {0: BLANK}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_without_the_linter_no_text_is_checked(prompt: str) -> None:
    """A limit may change, and must not reject rows then. Texts of raw bodies are not known."""
    texts = ["", "a" * 50_001]
    model = "amazon.titan-embed-text-v2:0"
    assert not rejected(texts, model, request_of(model, prompt), batch={"lint": "ignore"})
    raw = {"body": {"prompt": prompt}}
    assert not rejected(texts, "my-model", raw, through={"family": "raw"})


def test_nulls_and_other_types_keep_their_reasons() -> None:
    """A null is rejected as a null; a number is never blank."""
    model = "amazon.titan-embed-text-v2:0"
    assert rejected([None, "", "a"], model, request_of(model, "{{ body }}")) == {
        0: "is null",
        1: BLANK,
    }
    assert not rejected([0, 7], model, request_of(model, "{{ body }}"))
    assert rejected([None, 7], model, request_of(model, "{{ body }}")) == {0: "is null"}


def test_arrow_and_python_agree_on_white_space() -> None:
    """Every character that Python takes for white space is found column by column, too."""
    spaces = [c for c in map(chr, range(sys.maxunicode + 1)) if c.isspace()]
    assert len(spaces) > 20
    assert len(rejected(spaces, CLAUDE, request_of(CLAUDE, "{{ body }}"))) == len(spaces)
