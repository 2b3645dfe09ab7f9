"""Secrets of a config: named by variables, refused if they are written out, shown nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.config import Config, parse_config
from bedrock_spark.config.secrets import FromEnvironment, resolve_options, without_secrets
from bedrock_spark.config_file import load_config
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.run import begin_run, find_run, open_run
from tests.unit.fakes import FakeClock, config_values, make_config

SECRET = "hunter4711"
DOC = Path(__file__).parents[3] / "docs" / "config.md"


def with_options(**options: Any) -> Config:
    return make_config(source={"format": "jdbc", "options": options})


@pytest.mark.parametrize(
    "name",
    [
        *("password", "sfPassword", "PASSWORD", "pwd", "sslpassword", "passphrase"),
        *("fs.s3a.secret.key", "fs.s3a.access.key", "aws_access_key_id", "awsSecretAccessKey"),
        *("token", "oauth.access-token", "credentials", "api_key", "apiKey", "accountKey"),
        *("pem_private_key", "spark.cosmos.accountKey", "kafka.sasl.jaas.config"),
        *("eventhubs.connectionString", "clientSecret"),
    ],
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    """The message names the option and the way out, and never shows the value."""
    with pytest.raises(ConfigError, match=r"looks like a secret: .*\{env: NAME\}") as caught:
        with_options(**{name: SECRET})
    assert name in str(caught.value)
    assert SECRET not in str(caught.value)
    assert with_options(**{name: {"env": "X"}}).source.options[name] == FromEnvironment(env="X")


@pytest.mark.parametrize(
    "value",
    [
        f"jdbc:postgresql://u:{SECRET}@host/db",
        f"mongodb://u:{SECRET}@host",
        f"https://:{SECRET}@host/x",
        f"jdbc:oracle:thin:u/{SECRET}@host:1521/x",
        f"jdbc:sqlserver://host;databaseName=x;password={SECRET}",
        f"jdbc:mysql://host/db?user=u&password={SECRET}",
        f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={SECRET}",
        f"https://x.blob.core.windows.net/c?sv=1&sig={SECRET}",
        "AKIAIOSFODNN7EXAMPLE",
        f"-----BEGIN RSA PRIVATE KEY-----{SECRET}",
    ],
)
def test_a_secret_is_known_by_its_value(value: str) -> None:
    """Whatever the option is called; in source.path, too."""
    with pytest.raises(ConfigError, match="url looks like a secret") as caught:
        with_options(url=value)
    assert value not in str(caught.value)
    with pytest.raises(ConfigError, match=r"source\.path: holds a credential") as caught:
        make_config(source={"format": "text", "path": value})
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("header", True),
        ("sep", ";"),
        ("quote", '"'),
        ("versionAsOf", 1),
        ("keyspace", "x"),
        ("partitionColumn", "key"),
        ("timestampFormat", "yyyy-MM-dd HH:mm:ss"),
        ("url", "jdbc:postgresql://host:5432/db?ssl=true"),
        ("url", "jdbc:sqlserver://host:1433;databaseName=x;encrypt=true"),
        ("user", "reader"),
        ("query", "SELECT * FROM t WHERE mail = 'a@b.c'"),
        ("path", "s3://bucket/a:b@c/x"),
    ],
)
def test_other_options_are_not_refused(name: str, value: Any) -> None:
    """They may be written out."""
    assert with_options(**{name: value}).source.options[name] in (str(value), "true")


@pytest.mark.parametrize(
    "value",
    [{"env": "1X"}, {"env": ""}, {"env": "A B"}, {"env": 1}, {"env": "X", "y": 1}, {"x": "X"}, {},
     None, ["x"]],
)  # fmt: skip
def test_an_option_of_another_form_is_refused_without_its_value(value: Any) -> None:
    """A value that was written wrongly may be a secret."""
    with pytest.raises(ConfigError, match=r"source\.options\.password: must be ") as caught:
        with_options(password=value)
    assert str(value) not in str(caught.value) or value in (None, {})


def test_overrides_and_files_show_no_secret_either(tmp_path: Path) -> None:
    """A config from YAML, with --set."""
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps(config_values(source={"format": "jdbc"})))
    with pytest.raises(ConfigError) as caught:
        load_config(file, [f"source.options.password={SECRET}"])
    assert SECRET not in str(caught.value)
    config = load_config(file, ["source.options.password={env: X}"])
    assert config.source.options == {"password": FromEnvironment(env="X")}


def test_the_run_folder_holds_only_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a rotated password carries the same run on."""
    values = config_values(
        str(tmp_path), source={"format": "jdbc", "options": {"password": {"env": "DB_PASSWORD"}}}
    )
    fixed = []
    for password in (SECRET, "rotated"):
        monkeypatch.setenv("DB_PASSWORD", password)
        run = begin_run(open_run(parse_config(values), FakeClock()))
        fixed.append(run.config.fixed_part())
        assert resolve_options(run.config.source.options, {"DB_PASSWORD": password}) == {
            "password": password
        }
        assert password not in repr(run.config)
    assert fixed[0] == fixed[1]
    written = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b'"env": "DB_PASSWORD"' in written
    assert SECRET.encode() not in written
    assert b"rotated" not in written
    assert find_run(str(tmp_path)).config.source == run.config.source


def test_a_variable_that_is_not_set_is_named() -> None:
    """With its option, before Spark is asked."""
    options = with_options(password={"env": "DB_PASSWORD"}, url="x").source.options
    with pytest.raises(
        ConfigError, match=r"^source\.options\.password: .*variable DB_PASSWORD is "
    ):
        resolve_options(options, {})


def test_a_message_of_spark_is_shown_without_the_secrets() -> None:
    """A driver may quote the URL that it got."""
    options = with_options(a={"env": "A"}, b={"env": "B"}, c={"env": "C"}, d="x").source.options
    environment = {"A": SECRET, "B": SECRET + "-and-more", "D": "x"}
    text = without_secrets(f"cannot open {SECRET}-and-more, {SECRET}, x", options, environment)
    assert text == "cannot open {env: B}, {env: A}, x"


def test_the_documented_names_are_refused() -> None:
    """docs/config.md lists them."""
    section = DOC.read_text(encoding="utf-8").split("### Secrets")[1].split("\n## ")[0]
    sentence = section.split("its name contains")[1].split("Case does not")[0]
    names = [name for name in sentence.split("`")[1::2] if name not in ("key",)]
    first, following = names[:9], names[9:]
    assert "connection string" in first
    for name in (*first, *(f"{name} key" for name in following)):
        with pytest.raises(ConfigError, match="looks like a secret"):
            with_options(**{name: "x"})
