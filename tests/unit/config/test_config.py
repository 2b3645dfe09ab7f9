"""The values that a config may have: defaults, bounds, and the messages of a refusal."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bedrock_spark.config import Config, SourceConfig, fixed_part, parse_config
from bedrock_spark.config.source import ALL
from bedrock_spark.errors import ConfigError
from bedrock_spark.outputs import outcomes
from tests.unit.fakes import CLAUDE, PROVISIONED, ROLE, config_values, make_config

MINIMAL = {
    "run_uri": "s3://my-bucket/runs/one",
    "model": {"id": CLAUDE},
    "request": {"prompt": "{{ body }}", "max_tokens": 1},
    "batch": {"role_arn": ROLE},
}


def refusal(*path: str, value: Any) -> str:
    """Return the line of the error for a value at this path."""
    values = config_values()
    section: Any = values
    for key in path[:-1]:
        section = section.setdefault(key, {})
    section[path[-1]] = value
    with pytest.raises(ConfigError) as caught:
        parse_config(values, name="conf/x.yaml")
    first, *lines = str(caught.value).splitlines()
    assert first == "conf/x.yaml: 1 problem"
    assert len(lines) == 1, lines
    return lines[0].strip()


def test_keys_that_are_not_set_have_these_defaults() -> None:
    """The defaults that docs/config.md lists."""
    config = parse_config(MINIMAL)
    assert config.model.invocation is None
    assert config.shards.model_dump() == {
        "max_records": 50_000,
        "max_files": 1,
        "max_bytes": 200_000_000,
        "max_row_bytes": 512_000_000,
        "min_records": 100,
    }
    assert config.batch.model_dump(exclude={"role_arn"}) == {
        "region": None,
        "max_active_jobs": None,
        "timeout_hours": 24,
        "attempts": 2,
        "poll_seconds": None,
        "deadline_hours": None,
        "tags": {},
        "kms_key_id": None,
        "bucket_owner": None,
        "cost_profile": False,
        "vpc": None,
        "lint": "refuse",
    }
    assert (config.fallback, config.endpoint_url) == (None, None)
    assert config.results.model_dump() == {
        "format": "parquet",
        "path": None,
        "table": None,
        "mode": "overwrite",
        "replace": False,
        "prefix": "",
        "max_errors": 0.05,
        "model_output": "keep",
        "parse": None,
    }


@pytest.mark.parametrize("section", ["run_uri", "model", "request", "batch"])
def test_a_setting_without_a_right_default_is_required(section: str) -> None:
    """The user must name the run folder, the model, the request and the role."""
    with pytest.raises(ConfigError, match=rf"^c: 1 problem\n  {section}: is required and has no"):
        parse_config({k: v for k, v in MINIMAL.items() if k != section}, name="c")


@pytest.mark.parametrize(
    ("path", "value", "start", "allowed"),
    [
        ("shards.max_records", 0, "shards.max_records = 0", "greater than or equal to 1"),
        ("shards.max_records", "many", "shards.max_records = 'many'", "must be a whole number"),
        ("shards.max_records", 2.5, "shards.max_records = 2.5", "whole number"),
        ("shards.max_bytes", "200 lots", "shards.max_bytes = '200 lots'", "a size such as 200MB"),
        ("shards.max_bytes", "0.1B", "shards.max_bytes = '0.1B'", "greater than or equal to 1"),
        ("shards.max_bytes", -1, "shards.max_bytes = -1", "greater than or equal to 1"),
        ("shards.max_files", 0, "shards.max_files = 0", "greater than or equal to 1"),
        ("shards", {"max_files": 26}, "shards: max_bytes (200000000) times", "of a batch job"),
        ("shards", {"max_files": 3, "max_records": 299}, "shards: min_records (100) ", "share"),
        ("batch.role_arn", "admin", "batch.role_arn = 'admin'", "ARN of an IAM role, such as arn"),
        ("batch.timeout_hours", 23, "batch.timeout_hours = 23", "greater than or equal to 24"),
        ("batch.timeout_hours", 169, "batch.timeout_hours = 169", "less than or equal to 168"),
        ("batch.attempts", 0, "batch.attempts = 0", "greater than or equal to 1"),
        ("batch.attempts", 11, "batch.attempts = 11", "less than or equal to 10"),
        ("batch.poll_seconds", 0, "batch.poll_seconds = 0", "greater than 0"),
        ("batch.max_active_jobs", True, "batch.max_active_jobs = true", "not be true or false"),
        ("batch.tags", {"team": 7}, "batch.tags.team = 7", "must be text; put it in quotes"),
        ("batch.tags", {str(i): "" for i in range(201)}, "batch.tags", "at most 200 elements"),
        ("model.id", "", "model.id = ''", "must not be empty"),
        ("model.invocation", "batch", "model.invocation = 'batch'", "'invoke_model' or 'converse'"),
        ("source.columns", 5, "source.columns = 5", "must be a list, such as [a, b]"),
        ("endpoint_url", 5, "endpoint_url = 5", "must be text"),
        ("results.format", None, "results.format", "has no value; write one"),
        ("shards", "big", "shards = 'big'", "must be keys with values, such as shards: {max_rec"),
    ],
)
def test_a_bad_value_is_named_with_its_key_and_what_is_allowed(
    path: str, value: Any, start: str, allowed: str
) -> None:
    """One line per problem: the key, the value and what is allowed."""
    line = refusal(*path.split("."), value=value)
    assert line.startswith((f"{start}: ", start))
    assert allowed in line


@pytest.mark.parametrize("hours", [24, 168])
def test_the_bounds_of_the_timeout_are_inclusive(hours: int) -> None:
    """24 and 168 hours are allowed."""
    assert make_config(batch={"timeout_hours": hours}).batch.timeout_hours == hours


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("200MB", 200_000_000),
        ("200 mb", 200_000_000),
        ("1.5 GiB", 1_610_612_736),
        ("1KB", 1_000),
        ("1KiB", 1_024),
        ("2MiB", 2_097_152),
        ("1gb", 1_000_000_000),
        ("7B", 7),
        ("1234", 1_234),
        (" 5 MB ", 5_000_000),
        (1_234, 1_234),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    """Decimal and binary units in any case, with or without a space. Plain numbers are bytes."""
    assert make_config(shards={"max_bytes": text}).shards.max_bytes == size


@pytest.mark.parametrize(
    ("given_uri", "uri"),
    [
        ("s3://my-bucket/runs/one/", "s3://my-bucket/runs/one"),
        ("s3a://my-bucket/runs", "s3://my-bucket/runs"),
        ("s3n://my-bucket/runs//", "s3://my-bucket/runs"),
        ("s3://my-bucket", "s3://my-bucket"),
        ("s3://my.bucket-1/a_b/C!x'(y)*.z", "s3://my.bucket-1/a_b/C!x'(y)*.z"),
        ("/tmp/runs/a=b c", "/tmp/runs/a=b c"),
        ("runs/one/", "runs/one"),
        ("./odd:name/x", "./odd:name/x"),
        ("file:///tmp/runs/", "file:///tmp/runs"),
    ],
)
def test_a_run_uri_is_kept_in_one_form(given_uri: str, uri: str) -> None:
    """Two spellings of a folder must be the same run. A local folder may have any name."""
    assert make_config(given_uri).run_uri == uri


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        *(
            (f"s3://bucket/{key}", "Bedrock accepts")
            for key in ("dt=1", "a b", "a+b", "a:b", "a%b")
        ),
        ("s3://bucket//runs", "Bedrock accepts"),
        ("s3://Bucket/runs", "Bedrock accepts"),
        ("s3://b/runs", "Bedrock accepts"),
        ("s3://-bucket/runs", "Bedrock accepts"),
        ("s3://bücket/runs", "Bedrock accepts"),
        ("S3://bucket/runs", "must be an s3:// URI or a local folder"),
        (" s3://bucket/runs", "must be an s3:// URI or a local folder"),
        ("s3:/bucket/runs", "must be an s3:// URI or a local folder"),
        ("file:/tmp/runs", "must be an s3:// URI or a local folder"),
        ("dbfs:/runs", "must be an s3:// URI or a local folder"),
        ("hdfs://nn/runs", "must be an s3:// URI or a local folder"),
        ("s3://bucket/" + 950 * "x", "is longer than 960 characters"),
        ("s3://", "must not be empty"),
        ("file://", "must not be empty"),
        ("/", "must not be empty"),
        ("", "must not be empty"),
    ],
)
def test_a_run_uri_that_would_fail_later_is_refused_at_once(uri: str, reason: str) -> None:
    """A URI that Bedrock does not accept, or that would silently become a local folder."""
    assert reason in refusal("run_uri", value=uri)


def test_a_provisioned_model_cannot_run_batch_jobs() -> None:
    """The message names the key that takes the ARN."""
    line = refusal("model", "id", value=PROVISIONED)
    assert "batch inference" in line
    assert "fallback.model_id" in line


@pytest.mark.parametrize("role", [ROLE, "arn:aws-cn:iam::123456789012:role/path/to/x"])
def test_role_arns_of_every_partition_are_accepted(role: str) -> None:
    """AWS has other partitions than `aws`."""
    assert make_config(batch={"role_arn": role}).batch.role_arn == role


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"path": "s3://x", "format": "csv", "table": "t"}, "names path and table: keep one"),
        ({"table": "t", "sql": "select 1"}, "names table and sql: keep one"),
        ({"path": "s3://x"}, "has a path whose end tells no format"),
    ],
)
def test_the_source_is_one_place(source: dict[str, str], reason: str) -> None:
    """If there were two places, one would be ignored silently."""
    assert reason in refusal("source", value=source)


def test_a_single_column_needs_no_brackets() -> None:
    """`key: id` means `key: [id]`."""
    config = make_config(source={"key": "id", "columns": "body"})
    assert (config.source.key, config.source.columns) == (("id",), ("body",))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({}, "it has none of them"),
        ({"prompt": "x", "body": {"a": 1}}, "it has prompt and body"),
        ({"body": {"a": 1}, "body_column": "x"}, "it has body and body_column"),
        ({"body": {"a": 1}, "system": "x", "stop": "y"}, "system, stop go with prompt; with body"),
        ({"body_column": "x", "max_tokens": 4}, "max_tokens go with prompt; with body_column"),
        ({"prompt": "x", "temperature": 2.5}, "less than or equal to 2"),
        ({"prompt": "x", "top_p": -1}, "greater than or equal to 0"),
        ({"prompt": "x", "max_tokens": 0}, "greater than or equal to 1"),
        ({"body": {"a": [{"b": math.nan}]}}, "number at a[0].b that is not finite"),
        ({"body": {"a": b"x"}}, "has a bytes at a, which JSON cannot hold"),
        ({"body": {"a": {1: "x"}}}, "has a key that is not text at a: put it in quotes"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(
    request_: dict[str, Any], reason: str
) -> None:
    """There is exactly one kind of request. An option that cannot be sent is an error."""
    assert reason in refusal("request", value=request_)


def test_min_records_may_not_be_above_max_records() -> None:
    """No shard could meet both."""
    line = refusal("shards", value={"min_records": 11, "max_records": 10})
    assert "min_records (11) is above max_records (10)" in line


def test_results_go_to_one_place() -> None:
    """A path together with a table is refused."""
    assert "keep one" in refusal("results", value={"path": "x", "table": "y"})


def test_a_vpc_needs_subnets_and_security_groups() -> None:
    """Both lists are required and have the lengths that the service allows."""
    ok = {"subnet_ids": ["subnet-1"], "security_group_ids": ["sg-1"]}
    assert make_config(batch={"vpc": ok}).batch.vpc is not None
    assert "batch.vpc.subnet_ids" in refusal("batch", "vpc", value={**ok, "subnet_ids": []})
    many = [f"sg-{i}" for i in range(6)]
    line = refusal("batch", "vpc", value={**ok, "security_group_ids": many})
    assert "at most 5 elements" in line


def test_prices_are_exact_through_run_json() -> None:
    """A price is exactly the decimal number in the config."""
    prices = {"batch": {"input": 0.000125, "output": "0.1"}}
    config = make_config(prices=prices, budget={"max_cost_usd": 0.3})
    again = parse_config(json.loads(json.dumps(config.model_dump(mode="json"))))
    assert again == config
    assert config.prices.batch is not None
    assert config.prices.batch.input * 1000 == Decimal("0.125")
    assert config.budget.max_cost_usd == Decimal("0.3")


def test_a_config_cannot_be_changed() -> None:
    """It is written to run.json once, and all later stages read the same."""
    config = make_config()
    with pytest.raises(ValueError, match="frozen"):
        config.shards.max_records = 5  # type: ignore[misc]


def test_the_fixed_part_shapes_the_records() -> None:
    """Settings of jobs, fallback, results and endpoint may change during a run."""
    config = make_config()
    fixed = {"run_uri", "source", "model", "request", "shards", "answers"}
    assert set(config.fixed_part()) == fixed
    changed = make_config(
        batch={"attempts": 7, "tags": {"a": "b"}},
        fallback={"model_id": PROVISIONED},
        canary={"records": 0},
        prices={"batch": {"input": 1, "output": 2}, "fallback": {"input": 0, "output": 0}},
        budget={"max_cost_usd": 5},
        results={"path": "/x"},
        endpoint_url="http://localhost:1",
    )
    assert changed.fixed_part() == config.fixed_part()
    assert make_config(model={"family": "anthropic"}).fixed_part() != config.fixed_part()
    assert make_config(shards={"max_records": 99}).fixed_part() != config.fixed_part()


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.dates()
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON_VALUES))
def test_the_fixed_part_is_the_same_after_writing_and_reading_run_json(
    body: dict[str, Any],
) -> None:
    """Otherwise a run could not be opened again with the same config."""
    config: Config = make_config(request={"body": body})
    written = json.dumps(config.model_dump(mode="json"), ensure_ascii=False).encode()
    recorded = json.loads(written)
    assert fixed_part(recorded) == config.fixed_part()


def test_reader_options_become_text() -> None:
    """Spark reads text, while users write `header: true` and `maxColumns: 10` in YAML."""
    source = {
        "format": "csv",
        "path": "x",
        "options": {"header": True, "maxColumns": 10, "sep": ";"},
    }
    assert make_config(source=source).source.options == {
        "header": "true",
        "maxColumns": "10",
        "sep": ";",
    }


def test_the_outcomes_of_a_source_are_those_of_rows() -> None:
    """And `all`, which is every row, also of an outcome that is not listed."""
    words = {*outcomes.NOT_OK, outcomes.OK, outcomes.REJECTED}
    for word in (*words, ALL):
        source = SourceConfig(run="s3://my-bucket/runs/first", outcome=word)
        assert source.outcomes == (None if word == ALL else (word,))
    with pytest.raises(ValidationError, match="outcome"):
        SourceConfig(run="s3://my-bucket/runs/first", outcome="waiting")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"outcome": "error"}, "has outcome without run"),
        ({"run": "s3://my-bucket/r", "path": "x.csv"}, "names path and run: keep one of"),
        ({"run": "s3://my-bucket/r", "options": {"a": "b"}}, "has run, whose rows have no format"),
        ({"run": "s3://my-bucket/r", "outcome": []}, "outcome: must not be empty"),
        ({"run": "gs://my-bucket/r"}, "must be an s3:// URI or a local folder"),
        ({"run": "s3://my-bucket/runs/tickets"}, "use another folder"),
        ({"where": " "}, "source.where = ' ': is empty"),
    ],
)
def test_a_source_that_contradicts_itself_is_refused(source: dict[str, Any], said: str) -> None:
    """The message says what to leave out or to change."""
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse_config({**config_values("s3://my-bucket/runs/tickets"), "source": source})


@pytest.mark.parametrize("text", ["16:9", "1:1", "9:21", '"16:9"'])
def test_a_ratio_of_sides_needs_no_quotation_marks(text: str) -> None:
    """To YAML, 16:9 without them is the whole number 969."""
    ratio = yaml.safe_load(text)
    request = {"prompt": "{{ x }}", "aspect_ratio": ratio}
    assert make_config(request=request).request.aspect_ratio == text.strip('"')
