"""Rules for every command, taken from the parser: a new command is tested without a line here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click
import jsonschema_rs
import pytest
from click.testing import CliRunner

from bedrock_spark.cli import commands, main
from bedrock_spark.cli.examples import examples_of
from bedrock_spark.cli.json_schema import printing_commands, schema_of
from bedrock_spark.errors import ExitCode
from tests.command_lines import calls_in, parse
from tests.modules import ROOT

SCHEMAS = ROOT / "docs" / "schemas"
# Commands without --json, and why.
WITHOUT_JSON = {
    "completion": "prints a script",
    "demo": "a show; its report.json is in its folder",
    "emulator": "a server",
    "help": "prints text",
    "jobs-path": "prints one path",
    "schema": "prints JSON",
    "ui": "a server",
}


def leaves(group: click.Group, *above: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that can be called, with its whole name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, *above, name)
        else:
            yield " ".join([*above, name]), command


COMMANDS = dict(leaves(main))
PRINTING = dict(printing_commands(main))


# Old versions of pydantic, from 2.7, give dataclasses no description.
HAS_DESCRIPTIONS = "description" in schema_of("submit", PRINTING["submit"])["$defs"]["CommandError"]


def published(name: str) -> Any:
    """Return the published schema of a command, as far as this pydantic can make it."""
    return comparable(json.loads((SCHEMAS / f"{name}.json").read_text("utf-8")))


def comparable(schema: Any) -> Any:
    """Return a schema; without descriptions if this pydantic writes none of dataclasses."""
    if HAS_DESCRIPTIONS or not isinstance(schema, dict | list):
        return schema
    if isinstance(schema, list):
        return [comparable(item) for item in schema]
    return {k: comparable(v) for k, v in schema.items() if k != "description"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_has_examples_that_can_be_called(name: str) -> None:
    """Each is a line of its own, calls this command, and has no option that does not exist."""
    shown = CliRunner().invoke(main, [*name.split(), "--help"], terminal_width=80)
    assert shown.exit_code == 0
    examples = examples_of(COMMANDS[name])
    assert examples, "@click.command(epilog='Example: bedrock-spark …')"
    for example in examples:
        assert example in [line.strip() for line in shown.stdout.splitlines()]
        calls = list(calls_in(example))
        assert any(call[: len(name.split())] == name.split() for call in calls)
        for call in calls:
            parse(call)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_help_for_every_option(name: str) -> None:
    """The first line of its own help is a sentence, and each option says what it does."""
    command = COMMANDS[name]
    assert (command.help or "").split("\n", 1)[0].endswith(".")
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    assert [option.opts[-1] for option in options if not option.help] == []


def test_the_list_of_commands_has_the_line_of_each() -> None:
    """It is written beside the place of the command, so that the list imports none."""
    lines = {name: text for name, (_, text) in commands._COMMANDS.items()}
    assert {n: c.get_short_help_str(1_000) for n, c in main.commands.items()} == lines
    listed = CliRunner().invoke(main, ["--help"], terminal_width=200).stdout
    assert [
        name
        for name in lines
        if not re.search(f"^  {name} +{re.escape(lines[name])}$", listed, re.M)
    ] == []


WORDS = [["run"], ["run", "a", "b"], ["status", "--nope"], ["nope"], ["--nope", "run"]]


@pytest.mark.parametrize("words", [*WORDS, ["show", "x", "--sample", "few"], ["schema", "nope"]])
@pytest.mark.parametrize("asked", [["--json"], ["--log", "json"], ["--log=json", "--json"], []])
def test_wrong_use_has_the_form_that_the_words_ask_for(words: list[str], asked: list[str]) -> None:
    """Click's own text is for people; the exit code is the same."""
    done = CliRunner().invoke(main, [*words, *asked])
    assert done.exit_code == ExitCode.USAGE
    out, err = done.stdout.splitlines(), done.stderr.splitlines()
    if "--json" in asked:
        (failure,) = (json.loads(line)["error"] for line in out)
        assert failure["kind"] == failure["topic"] == "usage"
        assert failure["exit_code"] == ExitCode.USAGE
    else:
        assert out == []
    if len(asked) and asked != ["--json"]:
        (event,) = map(json.loads, err)
        assert (event["event"], event["topic"]) == ("error", "usage")
    elif not asked:
        assert err[0].startswith("Usage: ")
        assert any(line.startswith("Error: ") for line in err)


@pytest.mark.parametrize("asked", [["--json"], ["--log=json"], []])
def test_a_package_that_is_missing_has_the_form_that_the_words_ask_for(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be missing before the command has read its options."""
    monkeypatch.setitem(sys.modules, "bedrock_spark.cli.runs", None)
    monkeypatch.setattr("bedrock_spark.cli.extras.how_to_install", lambda _: "install it")
    monkeypatch.delitem(main.commands._commands, "status", raising=False)  # type: ignore[attr-defined]
    done = CliRunner().invoke(main, ["status", "s3://bucket/run", *asked])
    assert done.exit_code == ExitCode.CONFIG
    if asked == ["--json"]:
        assert json.loads(done.stdout)["error"]["message"] == "install it"
    elif asked:
        assert json.loads(done.stderr)["message"] == "install it"
    else:
        assert (done.stdout, done.stderr.splitlines()[0]) == ("", "error: install it")


@pytest.mark.parametrize("words", ["", "ru", "run --", "run x.yaml --", "collect --p", "help "])
def test_a_tab_imports_no_heavy_package(words: str) -> None:
    """So it does not wait for those that only the command itself needs."""
    program = """
import sys
from bedrock_spark.cli import main
try:
    main(prog_name="bedrock-spark")
except SystemExit:
    print([n for n in ("boto3", "pydantic", "rich", "yaml", "numpy") if n in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "_BEDROCK_SPARK_COMPLETE": "bash_complete",
            "COMP_WORDS": f"bedrock-spark {words}",
            "COMP_CWORD": str(len(f"bedrock-spark {words}".split(" ")) - 1),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    *offered, heavy = done.stdout.splitlines()
    assert heavy == "[]"
    assert offered or words == "help "


def test_a_command_prints_json_or_says_why_not() -> None:
    """A new command gets --json, unless it prints nothing that a program reads."""
    without = {
        name
        for name, command in COMMANDS.items()
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert without == set(WITHOUT_JSON)


@pytest.mark.parametrize("name", PRINTING)
def test_the_published_schema_is_that_of_the_type(name: str) -> None:
    """`bedrock-spark schema --out docs/schemas` writes them. The fixture in tests/conftest.py
    validates what commands print against these types."""
    assert PRINTING[name] is not None, "with_output_options(json_type=…) says what --json prints"
    schema = schema_of(name, PRINTING[name])
    jsonschema_rs.meta.validate(schema)
    file = SCHEMAS / f"{name}.json"
    assert file.exists(), "bedrock-spark schema --out docs/schemas"
    assert published(name) == comparable(schema), "bedrock-spark schema --out docs/schemas"


def test_no_schema_is_published_without_its_command() -> None:
    """And docs/commands.md links to each."""
    assert {file.stem for file in SCHEMAS.glob("*.json")} == set(PRINTING)
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert [name for name in PRINTING if f"(schemas/{name}.json)" not in page] == []


@pytest.mark.parametrize("name", PRINTING)
def test_a_failed_command_fits_its_schema(name: str) -> None:
    """An error alone is always allowed, and an unknown key never, if the type has keys."""
    schema = jsonschema_rs.validator_for(schema_of(name, PRINTING[name]))
    error = {"kind": "budget", "message": "too dear", "exit_code": 5, "topic": "budget"}
    assert schema.is_valid({"error": error})
    has_keys = name != "invoke"
    assert schema.is_valid({"surprise": 1}) != has_keys


def test_schema_prints_what_is_published() -> None:
    """Where there are no docs at hand, and for the version that is installed."""
    shown = CliRunner().invoke(main, ["schema", "plan"])
    assert comparable(json.loads(shown.stdout)) == published("plan")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["schema"], "give a COMMAND, or a folder with --out"),
        (["schema", "demo"], "demo: has no --json; those that have: advance, answers"),
    ],
)
def test_schema_says_what_is_wrong(arguments: list[str], said: str) -> None:
    failed = CliRunner().invoke(main, arguments)
    assert failed.exit_code == 2
    assert said in failed.output


def test_the_fixture_refuses_a_key_that_no_schema_has() -> None:
    """Else a command could print what is not published, unseen."""

    @main.command("odd", hidden=True)
    @click.pass_context
    def odd(context: click.Context) -> None:
        from bedrock_spark.cli.display import Display
        from bedrock_spark.cli.output import Output

        context.info_name = "status"
        values: dict[str, Any] = {"stage": "batch"}
        Display(Output(as_json=True)).show_json(values)

    try:
        done = CliRunner().invoke(main, ["odd"])
    finally:
        del main.commands["odd"]
    assert isinstance(done.exception, AssertionError)
