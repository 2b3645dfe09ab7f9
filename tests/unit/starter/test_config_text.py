"""The YAML that `init` writes says what it was given."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.starter.config_text import NewConfig, config_text

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40)
WORDS = st.sampled_from(["yes", "null", "1e3", "id", "a b", "#x", "on", "True", "0x1", "a: b", "~"])


@given(
    prompt=st.one_of(TEXTS, st.lists(TEXTS, min_size=1, max_size=4).map("\n".join)),
    key=st.lists(TEXTS | WORDS, max_size=3),
    path=TEXTS | WORDS,
    has_budget=st.booleans(),
    columns=st.none() | TEXTS,
)
def test_every_value_comes_back(
    prompt: str, key: list[str], path: str, has_budget: bool, columns: str | None
) -> None:
    """Whatever it holds: line breaks, words that YAML takes for something else, control codes."""
    new = NewConfig(
        run_uri=f"s3://b/{path}",
        source={"path": path, "options": {"header": True}},
        key=key,
        model_id="a.b-v1:0",
        prompt=prompt,
        request={"max_tokens": 5, "images": key},
        role_arn="arn:aws:iam::123456789012:role/R",
        region="us-east-1",
        results={"path": path},
        columns=columns,
        has_budget=has_budget,
    )
    values = yaml.safe_load(config_text(new))
    assert values["run_uri"] == f"s3://b/{path}"
    source = {"path": path, "options": {"header": True}}
    assert values["source"] == ({**source, "key": key} if key else source)
    assert values["request"] == {"prompt": prompt, "max_tokens": 5, "images": key}
    parse = {} if columns is None else {"parse": {"columns": columns}}
    assert values["results"] == {"path": path, **parse}
    assert ("budget" in values) == has_budget
    assert (values["model"], values["fallback"]) == ({"id": "a.b-v1:0"}, {"model_id": "a.b-v1:0"})
