"""Set up all tests: no real AWS, none of the user's credentials, and a small JVM for Spark."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import click
import jsonschema_rs
import pytest

from bedrock_spark.cli import main
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.json_schema import printing_commands, schema_of
from tests.forked_emulator import BedrockServer
from tests.jvm import java_options

_FAKE = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
for _name in [n for n in os.environ if n.startswith("AWS_")]:
    del os.environ[_name]
os.environ.update(_FAKE)
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
os.environ["SPARK_SUBMIT_OPTS"] = java_options()


# A shell starts background jobs with SIGINT ignored, and child processes inherit that. Tests of
# Ctrl-C need the default handler.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def bedrock_server() -> Iterator[BedrockServer]:
    """Return the fork server, which serves one local Bedrock at a time."""
    server = BedrockServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Restore the level of the log: a command with `--quiet` would silence all later tests."""
    logger = logging.getLogger("bedrock_spark")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture(autouse=True)
def json_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test in which a command prints JSON that does not fit its published schema."""
    show_json = Display.show_json

    def check_and_show(display: Display, values: Mapping[str, Any]) -> None:
        context = click.get_current_context(silent=True)
        if display.output.as_json and context is not None:
            _validate(context, values)
        show_json(display, values)

    monkeypatch.setattr(Display, "show_json", check_and_show)


def _validate(context: click.Context, values: Mapping[str, Any]) -> None:
    names = context.command_path.split()[1:]  # of a group: `deploy emr`
    name = names[0] if names else context.info_name or ""
    if context.command is main:  # wrong use of the command line: an error, as of each command
        name = "status"
    schema = _schemas().get(name)
    assert schema is not None, f"{context.command_path}: with_output_options(json_type=…)"
    faults = [f"{e.instance_path}: {e.message[:300]}" for e in schema.iter_errors(values)]
    assert not faults, f"{context.command_path} --json: {faults}"


@cache
def _schemas() -> dict[str, Any]:
    return {
        name: jsonschema_rs.validator_for(schema_of(name, json_type))
        for name, json_type in printing_commands(main)
        if json_type is not None
    }
