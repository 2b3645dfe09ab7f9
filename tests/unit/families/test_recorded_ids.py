"""Every Bedrock id of two public price tables has a family, or is clearly no model for records."""

from __future__ import annotations

import pytest

from bedrock_spark.config import ModelConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import (
    FAMILIES,
    bare_model_id,
    converse_reason,
    family_by_name,
    family_of,
    family_of_model,
    invocation_of,
)
from bedrock_spark.families.check_request import request_faults
from bedrock_spark.families.model_ids import meant_model_id
from tests.docs import ROOT
from tests.unit.fakes import make_config

LINES = (ROOT / "tests/data/bedrock_model_ids.txt").read_text(encoding="utf-8").splitlines()
RECORDED = [tuple(line.split()) for line in LINES if line and not line.startswith("#")]
ASKED = [(model_id, family) for model_id, family in RECORDED if family != "none"]
# Ids of the endpoint bedrock-mantle, without the version that bedrock-runtime asks for.
WITHOUT_VERSION = {
    "amazon.titan-image-generator-v2",
    *("openai.gpt-oss-20b", "openai.gpt-oss-120b"),
    *("qwen.qwen3-32b", "qwen.qwen3-235b-a22b-2507"),
}


def test_the_list_is_one_of_ids_each_once() -> None:
    """With and without a geography, of all providers; the file says where they come from."""
    ids = [model_id for model_id, _ in RECORDED]
    assert len(ids) == len(set(ids)) >= 400
    assert ids == sorted(ids)
    assert len({bare_model_id(model_id) for model_id in ids}) < len(ids) - 150
    assert len({bare_model_id(model_id).split(".")[0] for model_id in ids}) >= 18
    assert {family for _, family in ASKED} <= {family.name for family in FAMILIES}


def test_every_recorded_id_has_its_family() -> None:
    """None raises. An id of no known family goes through Converse."""
    for model_id, family in ASKED:
        assert family_of_model(ModelConfig(id=model_id)).name == family, model_id
        config = make_config(model={"id": model_id}, request={"prompt": "{{ a }}", "max_tokens": 9})
        assert family_of(config).name == family, model_id
        way = "converse" if family == "converse" else "invoke_model"
        assert invocation_of(config) == way, model_id
        assert (converse_reason(config) is not None) == (family == "converse"), model_id


def test_every_recorded_chat_model_takes_a_simple_request() -> None:
    """No rule for old models refuses a new one."""
    chats = [model_id for model_id, family in ASKED if family_by_name(family).roles]
    assert len(chats) > 100
    for model_id in chats:
        config = make_config(model={"id": model_id}, request={"prompt": "{{ a }}", "max_tokens": 9})
        assert request_faults(config, has_templates=True) == [], model_id


def test_a_model_that_is_no_chat_does_not_go_through_converse() -> None:
    """Ranking, speech, videos, changes of images: the message says what it does and what to do."""
    others = [model_id for model_id, family in RECORDED if family == "none"]
    assert len(others) > 10
    for model_id in others:
        with pytest.raises(ConfigError, match=r"no family builds its requests.*model\.family: raw"):
            family_of_model(ModelConfig(id=model_id))
        assert family_of_model(ModelConfig(id=model_id, family="raw")).name == "raw", model_id
        config = make_config(model={"id": model_id}, request={"prompt": "{{ a }}"})
        assert converse_reason(config) is None, model_id


def test_no_recorded_id_is_taken_for_misspelt() -> None:
    """But for those that lack the version."""
    bare = {bare_model_id(model_id) for model_id, _ in RECORDED}
    assert {model_id for model_id in bare if meant_model_id(model_id)} == WITHOUT_VERSION
