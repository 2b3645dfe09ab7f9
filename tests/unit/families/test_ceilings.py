"""The limit of tokens of a request: where each family has it, and how far it is raised."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.check import check_config
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import FAMILIES, family_by_name
from bedrock_spark.families.ceilings import KEYS, SECTIONS, Ceiling, ceiling_of
from bedrock_spark.families.endings import Ending
from bedrock_spark.shards.lines import with_limit
from tests.unit.fakes import make_config

PLACES = {
    "anthropic": ("max_tokens",),
    "nova": ("inferenceConfig", "maxTokens"),
    "converse": ("inferenceConfig", "maxTokens"),
    "titan_text": ("textGenerationConfig", "maxTokenCount"),
    "llama3": ("max_gen_len",),
    "llama4": ("max_gen_len",),
    "gpt_oss": ("max_completion_tokens",),
    **dict.fromkeys(
        (
            *("cohere_command", "cohere_command_r", "mistral_instruct", "mistral_chat", "jamba"),
            *("qwen", "deepseek_r1", "deepseek_v3"),
        ),
        ("max_tokens",),
    ),
}
RETRY = {"on_truncated": "retry", "max_tokens_ceiling": 400}


def config_of(family: str, **request: Any) -> Any:
    model = {"id": "some.model-v1:0", "family": family}
    return make_config(model=model, request={"max_tokens": None, **request})


def at(body: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        body = body[key]
    return body


@pytest.mark.parametrize("family", [f.name for f in FAMILIES])
def test_the_limit_of_each_family_is_found_and_can_be_set(family: str) -> None:
    """Every family whose answers can be cut off has one; others have none."""
    can_be_cut = Ending.TRUNCATED in family_by_name(family).endings.words.values()
    assert can_be_cut is (family in PLACES)
    if not can_be_cut:
        return
    config = config_of(family, prompt="{{ body }}", max_tokens=100)
    assert ceiling_of(config) == Ceiling(PLACES[family], 100)
    body = family_by_name(family).build(config.request, "some.model-v1:0")
    raised = json.loads(with_limit(json.dumps(body).encode(), PLACES[family], 250))
    assert at(raised, PLACES[family]) == 250
    assert json.loads(with_limit(json.dumps(raised).encode(), PLACES[family], 100)) == body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        *(({key: 7, "p": "{{ x }}"}, Ceiling((key,), 7)) for key in KEYS),
        *(({name: {"maxTokens": 7}}, Ceiling((name, "maxTokens"), 7)) for name in SECTIONS),
        ({"max_tokens": 7, "max_completion_tokens": 7}, None),
        ({"max_tokens": 7, "inferenceConfig": {"maxTokens": 7}}, None),
        ({"max_tokens": "{{ n }}"}, None),
        ({"max_tokens": True}, None),
        ({"max_tokens": 0}, None),
        ({"tools": [{"max_tokens": 7}]}, None),
        ({"messages": []}, None),
    ],
)
def test_the_limit_of_a_body_that_the_user_wrote(
    body: dict[str, Any], expected: Ceiling | None
) -> None:
    """It must be one number, where models have it. Then it is known for every row."""
    assert ceiling_of(config_of("anthropic", prompt=None, body=body)) == expected


def test_there_is_no_limit_without_a_key() -> None:
    """A column may have another one in each row."""
    assert ceiling_of(config_of("nova", prompt="{{ body }}")) is None
    assert ceiling_of(config_of("nova", prompt=None, body_column="body")) is None
    assert ceiling_of(config_of("titan_embeddings", prompt="{{ body }}")) is None


@given(st.integers(1, 10**6), st.integers(1, 10**7))
def test_a_limit_is_doubled_until_it_is_the_highest(tokens: int, most: int) -> None:
    """Never beyond it, and with the fewest doublings."""
    ceiling = Ceiling(("max_tokens",), tokens)
    times = ceiling.doublings_to(most)
    limits = [ceiling.after(n, most) for n in range(times + 1)]
    assert limits[0] == tokens
    assert limits[-1] == max(tokens, most)
    assert all(a < b <= 2 * a for a, b in itertools.pairwise(limits))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just(1e300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=9,
)


@given(
    st.dictionaries(st.text(max_size=3), VALUES, max_size=4),
    st.dictionaries(st.text(max_size=3), VALUES, max_size=4),
    st.integers(1, 10**6),
)
def test_nothing_but_the_limit_changes(
    body: dict[str, Any], section: dict[str, Any], tokens: int
) -> None:
    """In a body, and in a section of it: every other value keeps its bytes and its place."""
    marked = {**body, "section": {**section, "limit": 987654321}, "after": 1}
    for ascii_only in (True, False):
        data = json.dumps(marked, ensure_ascii=ascii_only, separators=(",", ":"))
        raised = with_limit(data.encode("utf-8", "surrogatepass"), ("section", "limit"), tokens)
        expected = {**marked, "section": {**section, "limit": tokens}}
        assert json.loads(raised) == expected
        assert list(json.loads(raised)) == list(expected)


def test_numbers_keep_all_their_digits() -> None:
    """A number that Python cannot hold is copied as it is written."""
    body = b'{"seed":12345678901234567890123.000,"max_tokens":5,"text":"\\u00e9"}'
    assert with_limit(body, ("max_tokens",), 10) == body.replace(b":5,", b":10,")


@pytest.mark.parametrize(
    ("model", "request_", "message"),
    [
        ("anthropic.claude-x-v1:0", {"max_tokens": 100}, None),
        ("anthropic.claude-x-v1:0", {"max_tokens": 400}, "is not above the limit of the first try"),
        ("amazon.nova-lite-v1:0", {}, "the request has none; set request.max_tokens"),
        (
            "amazon.nova-lite-v1:0",
            {"prompt": None, "body_column": "body"},
            "request.body_column may each have another one",
        ),
        (
            "amazon.nova-lite-v1:0",
            {"prompt": None, "body": {"inferenceConfig": {"maxTokens": "{{ n }}"}}},
            "must have it as one number, under one of max_tokens,",
        ),
        ("amazon.titan-embed-text-v2:0", {}, "titan_embeddings cut off no answers"),
        (
            "amazon.nova-micro-v1:0",
            {"max_tokens": 9_000, "max_tokens_ceiling": 20_000},
            "20,000 is more than the 10,000 tokens this model can write",
        ),
    ],
)
def test_a_limit_that_cannot_be_raised_is_refused_before_anything_is_paid(
    model: str, request_: dict[str, Any], message: str | None
) -> None:
    """The message has the key and what to do."""
    request = {"prompt": "{{ body }}", "max_tokens": None, **RETRY, **request_}
    config = make_config(model={"id": model}, request=request)
    if message is None:
        assert check_config(config).request.on_truncated == "retry"
        return
    with pytest.raises(ConfigError) as caught:
        check_config(config)
    assert message in str(caught.value)
    assert "request.on_truncated: " in str(caught.value) or "request.max_tokens_ceiling: " in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"on_truncated": "retry"}, "on_truncated: retry needs max_tokens_ceiling"),
        ({"max_tokens_ceiling": 9}, "max_tokens_ceiling goes with on_truncated: retry"),
        ({"on_truncated": "keep", "max_tokens_ceiling": 9}, "goes with on_truncated: retry"),
        ({"on_refused": "sometimes"}, "on_refused"),
    ],
)
def test_a_retry_and_its_highest_limit_go_together(request_: dict[str, Any], message: str) -> None:
    """There is no right default for the highest limit."""
    with pytest.raises(ConfigError, match=message):
        make_config(request={"prompt": "{{ body }}", "max_tokens": 5, **request_})


def test_what_becomes_of_answers_may_change_while_a_run_goes_on() -> None:
    """These keys shape no record."""
    request = {"prompt": "{{ body }}", "max_tokens": 5}
    one = make_config(request=request)
    other = make_config(request={**request, **RETRY, "on_refused": "keep"})
    assert one.fixed_part() == other.fixed_part()
    assert one.fixed_part() != make_config(request={**request, "max_tokens": 6}).fixed_part()
