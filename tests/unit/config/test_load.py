"""Read a config: files, overrides, and all problems at once in the words of the config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bedrock_spark.config import parse_config, with_overrides
from bedrock_spark.config_file import load_config
from bedrock_spark.errors import ConfigError
from tests.unit.fakes import config_values

SECRET = "Wer schreibt, dem Kunden 4711 gehöre der Rücken gestärkt?"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "tickets.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(values: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(values)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_a_file_becomes_a_config(tmp_path: Path) -> None:
    """YAML is read, and overrides replace its values."""
    path = written(tmp_path, yaml.safe_dump(config_values()))
    config = load_config(path, ["shards.max_records=500", "batch.tags={team: search}"])
    assert config.run_uri == "s3://bucket/runs/one"
    assert config.shards.max_records == 500
    assert config.shards.min_records == 10
    assert config.batch.tags == {"team": "search"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", ": is a list, and a config is keys with values"),
        ("", ": is empty: a config has the keys run_uri, "),
        ("# only a remark\n", ": is empty: "),
        ("tickets", ": is one value, and a config is keys with values"),
        ("a: [1\n", ":2: is not YAML: expected ',' or ']', but got '<stream end>'; is the [ of l"),
        ("a: b: c\n", ":1: is not YAML: mapping values are not allowed here; if the value"),
        ("a: b\nc: \x00\n", ":2: is not YAML: holds the character U+0000; remove it"),
        ("a: !!python/object:os.system x\n", ":1: a: has the tag tag:yaml.org,2002:python/obj"),
        ("a: 1\nb: 2026-02-30\n", ":2: b: looks like a date or a number, but is not valid"),
        ("a: 1\n---\nb: 2\n", ":2: is not YAML: but found another document"),
    ],
)
def test_a_file_that_is_not_a_config_is_named_with_its_fault(
    tmp_path: Path, text: str, message: str
) -> None:
    """The message names the file and the line."""
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert f"{path}{message}" in str(caught.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """A guess would change texts."""
    path = written(tmp_path, b"a: caf\xe9\n")
    with pytest.raises(ConfigError, match=rf"^{path}: is not UTF-8 \(byte 6\)"):
        load_config(path)


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    """A missing file or a folder."""
    with pytest.raises(ConfigError, match=r"cannot be read: (No such file|Is a directory)"):
        load_config(tmp_path / name)


def test_all_problems_are_reported_at_once() -> None:
    """Three problems are three lines."""
    values = config_values(batch={"attempts": 0}, shards={"max_bytes": "x"})
    del values["model"]
    assert [line.split()[0] for line in problems(values)] == [
        "model:",
        "shards.max_bytes",
        "batch.attempts",
    ]
    with pytest.raises(ConfigError, match=r"^conf/a.yaml: 3 problems\n"):
        parse_config(values, name="conf/a.yaml")


@pytest.mark.parametrize(
    ("path", "nearest", "allowed"),
    [
        ("run_url", "did you mean run_uri? ", "allowed here: run_uri, source, model, request"),
        (
            "shards.max_record",
            "did you mean max_records? ",
            "max_records, max_files, max_bytes, max_row_bytes, min_records",
        ),
        ("batch.role", "did you mean role_arn? ", "role_arn, region, max_active_jobs"),
        ("batch.vpc.subnets", "did you mean subnet_ids? ", "subnet_ids, security_group_ids"),
        ("fallback.zzz", "", "model_id, create, max_share"),
        ("request.promt", "did you mean prompt? ", "prompt, images, documents"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_name(
    path: str, nearest: str, allowed: str
) -> None:
    """At every level: a misspelt limit must not be ignored."""
    vpc = {"subnet_ids": ["s"], "security_group_ids": ["g"]}
    values = config_values(batch={"vpc": vpc}, fallback={"model_id": "m"})
    (line,) = problems(with_overrides(values, [f"{path}=1"]))
    assert line.startswith(f"{path}: unknown key; {nearest}")
    assert allowed in line


@pytest.mark.parametrize(
    "values",
    [
        config_values(request={"prompt": 5, "system": [SECRET]}),
        config_values(request={"prompt": SECRET, "max_tokens": SECRET, "top_p": SECRET}),
        config_values(request=SECRET, source={"path": "x"}),
        config_values(request=[SECRET]),
        config_values(request={"body": SECRET}),
        config_values(request={"body": {"x": [SECRET, b"x"]}}),
        config_values(request={"prompt": SECRET, "body_column": SECRET}),
        config_values(request={"prompt": SECRET, "promt": SECRET}),
        config_values(request={"stop": {"x": SECRET}}),
        config_values(request=None, requests={"prompt": SECRET}),
    ],
)
def test_no_message_shows_a_prompt(values: dict[str, Any]) -> None:
    """Values under `request` are prompts, and messages are written to logs."""
    shown = "\n".join(problems(values))
    assert shown
    assert not any(word in shown for word in SECRET.split())


def test_an_error_hides_the_message_of_pydantic() -> None:
    """That message shows values, so a traceback must not print it as the cause."""
    with pytest.raises(ConfigError) as caught:
        parse_config(config_values(request={"prompt": [SECRET]}))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_long_value_is_cut() -> None:
    """A message stays short."""
    (line,) = problems(config_values(endpoint_url=None, results={"format": list("x" * 500)}))
    assert len(line) < 100
    (line,) = problems(config_values(batch={"role_arn": "x" * 500}))
    assert "…" in line
    assert "x" * 100 not in line


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("shards.max_records=500", "shards.max_records", 500),
        ("shards.max_bytes=1MB", "shards.max_bytes", 1_000_000),
        ("batch.kms_key_id=alias/x=y", "batch.kms_key_id", "alias/x=y"),
        ("batch.tags={a: b}", "batch.tags", {"a": "b"}),
        ("batch.tags.a=b", "batch.tags", {"a": "b"}),
        ("batch.vpc=null", "batch.vpc", None),
        ("fallback=null", "fallback", None),
        ("fallback.requests_per_minute=", "fallback.requests_per_minute", None),
        ("source.key=[a, b]", "source.key", ("a", "b")),
        (" batch.region = eu-west-1", "batch.region", "eu-west-1"),
    ],
)
def test_an_override_replaces_one_value_of_the_file(override: str, path: str, value: Any) -> None:
    """`a.b=value`: the value is read as YAML, and an empty one is null."""
    values = config_values(fallback={"model_id": "m", "requests_per_minute": 5})
    member: Any = parse_config(with_overrides(values, [override]))
    for key in path.split("."):
        member = getattr(member, key)
    assert member == value


def test_overrides_are_applied_in_order_and_do_not_change_the_input() -> None:
    """The last override of a key wins. A section that is null or absent is created."""
    values = {"batch": None, "shards": {"max_records": 1}}
    result = with_overrides(values, ["batch.region=a", "batch.region=b", "x.y.z=1"])
    assert result == {"batch": {"region": "b"}, "shards": {"max_records": 1}, "x": {"y": {"z": 1}}}
    assert values == {"batch": None, "shards": {"max_records": 1}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("shards.max_records", "--set shards.max_records: must be key=value"),
        ("=5", "--set : must be key=value"),
        ("a=[1", "--set a: the value is not YAML: "),
        ("a=2026-13-01", "--set a: the value looks like a date"),
        ("run_uri.x=1", "--set run_uri.x: run_uri is a single value and has no keys below it"),
        ("source.key.x=1", "--set source.key.x: key is a single value"),
    ],
)
def test_an_invalid_override_is_named(override: str, message: str) -> None:
    """The message uses the form of the command line."""
    with pytest.raises(ConfigError) as caught:
        with_overrides(config_values(), [override])
    assert str(caught.value).startswith(message)


def test_a_config_that_is_json_may_hold_escaped_emoji(tmp_path: Path) -> None:
    """PyYAML reads the two escapes of one character as two surrogates, which are joined."""
    text = r'{"prompt": "\ud83d\ude00 {{ body }}", "max_tokens": 1}'
    path = written(tmp_path, yaml.safe_dump(config_values()))
    config = load_config(path, [f"request={text}"])
    assert config.request.prompt == "\U0001f600 {{ body }}"


def test_half_a_character_is_refused_with_its_key() -> None:
    """It has no UTF-8 form, so it cannot be sent. The text is not shown."""
    with pytest.raises(ConfigError) as caught:
        parse_config(config_values(request={"prompt": f"{SECRET} \ud83d"}), name="c.yaml")
    message = "c.yaml: 1 problem\n  request.prompt: holds half a character (a lone surrogate)"
    assert str(caught.value) == message
