"""A conversation: the requests of its questions, and what becomes a turn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedrock_spark.aws.model_family import ServedModel
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import family_by_name
from bedrock_spark.families.turns import Turn
from bedrock_spark.playground.conversation import Conversation, build_body, chat_model
from tests.models import NOVA
from tests.unit.fakes import CLAUDE


def served(family: str = "anthropic", model_id: str = CLAUDE) -> ServedModel:
    return ServedModel(model_id, family_by_name(family), model_id)


def test_a_question_comes_after_the_turns_before_it() -> None:
    """And every request has the options."""
    talk = Conversation(served("nova", NOVA), {"system": "Be brief", "max_tokens": 50})
    talk = talk.after("one", "1").after("two", "2")
    body = json.loads(talk.body("three"))
    texts = [(m["role"], m["content"][0]["text"]) for m in body["messages"]]
    assert texts == [
        ("user", "one"),
        ("assistant", "1"),
        ("user", "two"),
        ("assistant", "2"),
        ("user", "three"),
    ]
    assert body["system"] == [{"text": "Be brief"}]
    assert body["inferenceConfig"]["maxTokens"] == 50


def test_options_change_and_turns_are_forgotten() -> None:
    talk = Conversation(served(), {"system": "A"}, (Turn("one", "1"),))
    changed = talk.with_options(system=None, temperature=0.5)
    assert (changed.options, changed.turns) == ({"temperature": 0.5}, talk.turns)
    assert changed.without_turns().turns == ()


@pytest.mark.parametrize(("question", "answer"), [("one", " \n"), ("one", ""), (" ", "1")])
def test_a_blank_text_is_no_turn(question: str, answer: str) -> None:
    """The service refuses blank texts in earlier turns."""
    talk = Conversation(served(), {})
    assert talk.after(question, answer) is talk


def test_braces_of_a_question_are_text() -> None:
    """It is no template."""
    body = json.loads(build_body(served(), "{{ not }} a template", {}))
    assert body["messages"][0]["content"][0]["text"] == "{{ not }} a template"
    assert body["max_tokens"] == 2048


def test_a_picture_and_a_vector_have_no_limit_of_tokens() -> None:
    """Only an answer of text has one."""
    drawn = json.loads(build_body(served("amazon_images"), "a cat", {"seed": 3, "width": 512}))
    assert drawn["imageGenerationConfig"] == {"width": 512, "seed": 3}
    embedded = json.loads(build_body(served("titan_embeddings"), "x", {"dimensions": 256}))
    assert embedded == {"inputText": "x", "dimensions": 256}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimensions": 8}, "request.dimensions: models of the family anthropic do not take it"),
        ({"temperature": "4711-secret"}, "request.temperature: Input should be a valid number"),
        ({"temprature": 1}, "temprature: is no option of a question; there are system, max_tokens"),
        ({"prompt": "4711-secret"}, "prompt: is no option of a question"),
    ],
)
def test_a_wrong_option_is_named_without_its_value(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_body(served(), "x", options)
    assert message in str(caught.value)
    assert "4711-secret" not in str(caught.value)


def test_a_family_without_turns_chats_by_converse() -> None:
    """And says so; an embedding model does not chat."""
    own = served()
    assert chat_model(own) is own
    titan = chat_model(served("titan_text", "amazon.titan-text-express-v1"))
    assert titan.family.name == "converse"
    assert (
        titan.note == "requests of the family titan_text have no earlier turns: asked by Converse"
    )
    for family in ("titan_embeddings", "amazon_images", "raw"):
        with pytest.raises(ConfigError, match=f"family {family} do not chat"):
            chat_model(served(family, "x.y"))
