"""Wrong values in the words of the config: every key with values of every wrong type."""

from __future__ import annotations

import copy
import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import pytest

from bedrock_spark.config import Config, parse_config
from bedrock_spark.config.base import Section
from bedrock_spark.config.words import section_at
from bedrock_spark.errors import ConfigError
from tests.unit.fakes import CLAUDE, config_values

VALUES: tuple[Any, ...] = (
    *("a text", "", "$5", "sure", 3, -1, 2.5, float("nan"), True, None),
    *([], ["a", 1], [[1]], {}, {"x": 1}, {"x": [1]}, {1: 2}, dt.date(2026, 1, 1), b"x"),
)
# Words of the library that validates, of Python, and of this package's code.
FOREIGN = re.compile(
    r"Input should|valid (dictionary|string|integer|number|boolean|tuple|list|decimal)|instance of"
    r"|unable to|parse|Config\b|NoneType|tuple|\bdict\b|pydantic|Traceback|object at|fractional"
    r"|datetime|bytes'"
)
SECTIONS = {
    "source": {"path": "data.parquet"},
    "model": {"id": CLAUDE},
    "fallback": {"model_id": CLAUDE},
    "targets": [{"model_id": CLAUDE}],
    "results": {"parse": {"columns": "label string"}},
}


def all_keys(section: type[Section] = Config, path: tuple[str, ...] = ()) -> Iterator[str]:
    for name in section.model_fields:
        here = (*path, name)
        yield ".".join(here)
        below = section_at(Config, here)
        if below is not None:
            yield from all_keys(below, here)
        elif name == "targets":
            yield from (f"targets.0.{key}" for key in ("model_id", "region", "uri", "role_arn"))


def with_value(key: str, value: Any) -> dict[str, Any]:
    values = config_values(**copy.deepcopy(SECTIONS))
    *parents, last = key.split(".")
    at: Any = values
    for parent in parents:
        if isinstance(at, list):
            at = at[int(parent)]
        else:
            at[parent] = dict(at[parent]) if isinstance(at.get(parent), dict) else at.get(parent)
            at[parent] = at[parent] if isinstance(at[parent], (dict, list)) else {}
            at = at[parent]
    at[last] = value
    return values


@pytest.mark.parametrize("key", sorted(set(all_keys())))
def test_a_wrong_value_of_any_key_is_told_in_the_users_words(key: str) -> None:
    """The message names the key, and nothing of the library that found the fault."""
    refused = 0
    for value in VALUES:
        try:
            parse_config(with_value(key, value))
        except ConfigError as exc:
            refused += 1
            text = str(exc)
            # Keys that are called parse, and quoted values, are the user's own.
            own = re.sub(r"results\.parse|, parse\b|parse: |'[^']*'", "", text)
            assert not FOREIGN.search(own), text
            lines = text.splitlines()[1:]
            assert lines
            for line in lines:
                assert re.match(r"  [a-z_.0-9\[\]x]+( = |: | needs )", line), text
            assert any(key.split(".")[0] in line for line in lines), text
    assert refused


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("shards", 5, "shards = 5: must be keys with values, such as shards: {max_records: …}."),
        ("batch", ["a"], "batch: must be keys with values, such as batch: {role_arn: …}. Allowed:"),
        ("batch", None, "batch.role_arn: is required and has no default; for example role_arn: a"),
        ("model", True, "model = true: must be keys with values, such as model: {id: …}."),
        ("request.dedupe", "sure", "request.dedupe: must be true or false"),
        ("budget.max_cost_usd", "$5", "must be a number of dollars, such as 5 or 0.25, without a"),
        ("results.mode", "overwite", "must be 'overwrite', 'append' or 'merge'; did you mean over"),
        ("results.table", True, "must be text; put it in quotes (yes, no, on and off, too)"),
        ("source.columns", ["a", True], "source.columns[1] = true: must be text; put it in quotes"),
        ("source.max_rejects", "many", "source.max_rejects = 'many': must be a whole number"),
        ("batch.tags", "team", "batch.tags = 'team': must be names with values, such as {name: v"),
        ("request.stop", {"a": 1}, "request.stop: must be a list, such as [a, b]"),
        ("prices.batch", 5, "prices.batch = 5: must be keys with values, such as batch: {input: …"),
    ],
)
def test_a_message_says_what_to_write(key: str, value: Any, line: str) -> None:
    """And shows the value, if it is no prompt."""
    with pytest.raises(ConfigError) as caught:
        parse_config(with_value(key, value))
    assert line in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"model": CLAUDE}, {"model": {"id": CLAUDE}}),
        ({"source": "s3://lake/t.parquet"}, {"source": {"path": "s3://lake/t.parquet"}}),
        (
            {"source": {"path": "s3://lake/t.jsonl.gz"}},
            {"source": {"path": "s3://lake/t.jsonl.gz", "format": "json"}},
        ),
        (
            {"source": "t.csv"},
            {"source": {"path": "t.csv", "format": "csv", "options": {"header": True}}},
        ),
        (
            {"source": {"path": "t.csv", "options": {"header": False}}},
            {"source": {"path": "t.csv", "format": "csv", "options": {"header": "false"}}},
        ),
        ({"source": {"key": "id"}}, {"source": {"key": ["id"]}}),
        ({"request": "Classify: {{ a }}"}, {"request": {"prompt": "Classify: {{ a }}"}}),
        ({"fallback": CLAUDE}, {"fallback": {"model_id": CLAUDE}}),
        ({"results": None, "budget": None}, {}),
        ({"budget": 5}, {"budget": {"max_cost_usd": 5}, "prices": {}}),
        ({"results": "s3://lake/out"}, {"results": {"path": "s3://lake/out"}}),
        ({"results": {"parse": "a int"}}, {"results": {"parse": {"columns": "a int"}}}),
        (
            {"results": {"parse": ["label", "score double", "`a b`", "x: struct<y: int>"]}},
            {
                "results": {
                    "parse": {
                        "columns": "label string, score double, `a b` string, x: struct<y: int>"
                    }
                }
            },
        ),
        (
            {"results": {"parse": {"columns": ["label"], "retries": 1}}},
            {"results": {"parse": {"columns": "label string", "retries": 1}}},
        ),
    ],
)
def test_a_short_form_means_the_long_one(short: dict[str, Any], long: dict[str, Any]) -> None:
    """For the sections with one key that nearly everybody sets."""
    prices = {"batch": {"input": 0, "output": 0}, "fallback": {"input": 0, "output": 0}}
    base = config_values(source={}, prices=prices)
    base["source"] = {"table": "t"}
    long.pop("prices", None)
    assert parse_config({**base, **short}) == parse_config({**base, **long})
