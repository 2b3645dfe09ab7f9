"""A config is read from a local file or from S3, with the JSON Schema that it names."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import bedrock_spark
from bedrock_spark import config_file, s3_spelling
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.check import check_config
from bedrock_spark.check_stages import check_stages
from bedrock_spark.cli import main
from bedrock_spark.config_file import open_config
from bedrock_spark.errors import ConfigError
from bedrock_spark.storage import open_storage
from tests.unit.fakes import config_values
from tests.unit.moto_s3 import s3_in_process


@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["iam"],
        ["doctor", "--no-spark"],
        ["plan"],
        ["run"],
        ["advance"],
        ["preview", "--render"],
    ],
)
@pytest.mark.parametrize("stage", [None, "extract"])
def test_a_command_reads_its_config_once(
    command: list[str], stage: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that it does is by one text, also if the file is written while it works.

    The command ends before it does anything else: the text has a mistake.
    """
    file = tmp_path / "one.yaml"
    stages = {} if stage is None else {"stages": [{"name": stage}]}
    file.write_text(yaml.safe_dump({**config_values(), "modle": 1, **stages}))
    read: list[str] = []
    monkeypatch.setattr(
        config_file, "read_local", lambda name: read.append(name) or Path(name).read_bytes()
    )
    named = [str(file), *([] if stage is None else ["--stage", stage])]
    ended = CliRunner().invoke(main, [*command, *named])
    assert ended.exit_code != 0
    assert "modle" in ended.output
    assert read == [str(file)]


def test_a_config_that_was_opened_stays_as_it_was(tmp_path: Path) -> None:
    """The file and its schema may be gone by then."""
    file = tmp_path / "one.yaml"
    (tmp_path / "label.json").write_text(json.dumps(SCHEMA))
    values = {**config_values(), "request": {**REQUEST, "schema": "label.json"}}
    file.write_text(yaml.safe_dump(values))
    opened = open_config(file)
    assert check_stages(opened) is None
    first = check_config(opened)
    file.unlink()
    (tmp_path / "label.json").unlink()
    assert check_config(opened, ["shards.max_records=77"]).shards.max_records == 77
    assert check_config(opened) == first


SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string"}},
    "required": ["label"],
    "additionalProperties": False,
}
REQUEST = {"prompt": "{{ body }}", "max_tokens": 20}


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """S3 in this process, with a config and its JSON Schema."""
    with s3_in_process("conf") as client:
        values = config_values()
        values["request"] = {
            "prompt": "{{ body }}",
            "max_tokens": 20,
            "schema": "shapes/label.json",
        }
        client.put_object(Bucket="conf", Key="team/one.yaml", Body=yaml.safe_dump(values).encode())
        client.put_object(
            Bucket="conf", Key="team/shapes/label.json", Body=json.dumps(SCHEMA).encode()
        )
        client.put_object(Bucket="conf", Key="bad.yaml", Body=b"run_uri: s3://bucket/x\nmodle: y\n")
        yield client


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_spelling, "_said", set())


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    "name",
    ["s3://conf/team/one.yaml", "s3a://conf/team/one.yaml", Path("s3://conf/team/one.yaml")],
)
def test_a_config_in_s3_is_read_with_the_schema_beside_it(name: str | Path) -> None:
    """In each spelling, also if pathlib has taken a slash away."""
    config = bedrock_spark.load_config(name, ["shards.max_records=500"])
    assert config.request.answer_schema == SCHEMA
    assert config.shards.max_records == 500
    assert check_config(str(name)) is not None


@pytest.mark.usefixtures("s3")
def test_problems_of_a_config_in_s3_have_their_place() -> None:
    """The object and the line."""
    with pytest.raises(ConfigError) as caught:
        check_config("s3://conf/bad.yaml")
    assert "s3://conf/bad.yaml:2: modle: unknown key; did you mean model?" in str(caught.value)


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("s3://conf/none.yaml", "there is no such object"),
        (
            "s3://nobucket/one.yaml",
            "An error occurred (NoSuchBucket) when calling the GetObject operation: The specified "
            "bucket does not exist",
        ),
        ("/nowhere/one.yaml", "No such file or directory"),
    ],
)
def test_a_config_that_cannot_be_read_says_why_once(name: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_config(name)
    assert str(caught.value) == f"{name}: cannot be read: {reason}"


@pytest.mark.usefixtures("s3")
def test_a_schema_may_be_in_s3_if_the_config_is_a_local_file(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    values = config_values()
    values["request"] = {
        "prompt": "{{ body }}",
        "max_tokens": 20,
        "schema": "s3a://conf/team/shapes/label.json",
    }
    path.write_text(yaml.safe_dump(values))
    assert check_config(path).request.answer_schema == SCHEMA


@pytest.mark.parametrize("scheme", ["s3a", "s3n"])
def test_other_spellings_of_s3_are_taken_as_s3_and_said_once(
    scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In the config, in its targets, and where a run is named by its URI."""
    uri = f"{scheme}://bucket/runs/one"
    values = {**config_values(), "run_uri": uri}
    with caplog.at_level(logging.WARNING, "bedrock_spark"):
        assert check_config(values).run_uri == "s3://bucket/runs/one"
        assert check_config(values).run_uri == "s3://bucket/runs/one"
        assert open_storage(uri, AwsSettings("us-east-1")).uri == "s3://bucket/runs/one"
    said = [record.getMessage() for record in caplog.records if uri in record.getMessage()]
    assert said == [f"{uri} is taken as s3://bucket/runs/one: this package reads S3 without Hadoop"]


@pytest.mark.parametrize("uri", ["s3://b/k", "/data/s3a://x", "hdfs://n/x", "s3b://b/k", ""])
def test_other_uris_stay_as_they_are(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    assert s3_spelling.as_s3(uri) == uri
    assert not caplog.records
