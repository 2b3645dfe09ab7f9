"""Every call on every page is one that its program accepts: `bedrock-spark`, its programs for
`spark-submit`, the AWS CLI (by the service models of botocore), `make`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

import botocore.session
import click
import pytest
from botocore import xform_name

from bedrock_spark.cli.commands import ORDER
from bedrock_spark.cli.job_arguments import read_arguments
from tests.command_lines import PROGRAM, calls_in, parse
from tests.unit.test_docs import PAGES, ROOT, page

# In prose, capitals stand for a value, and a command may stand without its arguments.
_BLOCK = re.compile(r"^```(?:bash|sh)(?: \w+)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NOT_WHOLE = re.compile(r"Missing (argument|option)|requires an argument|No such command '[A-Z]+'")


def calls_of(name: str, program: str = PROGRAM) -> list[list[str]]:
    """Return the calls of a program in the blocks of commands of a page, whole ones."""
    return [call for block in _BLOCK.findall(page(name)) for call in calls_in(block, program)]


def named_in(name: str, program: str = PROGRAM) -> list[list[str]]:
    """Return the calls that the text of a page names, which may lack arguments."""
    text = re.sub(r"^```.*?^```", "", page(name), flags=re.MULTILINE | re.DOTALL)
    inlines = re.findall(rf"`({program} [^`]+)`", text)
    return [call for inline in inlines for call in calls_in(inline, program)]


def test_the_table_of_commands_is_the_list_of_help() -> None:
    """All of them, in the same order."""
    table = page("docs/commands.md").split("| command | does |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `([a-z-]+)", table, re.MULTILINE) == list(ORDER)


@pytest.mark.parametrize("name", PAGES)
def test_a_call_in_a_block_of_commands_is_whole(name: str) -> None:
    """Command, options, values and arguments: all that the parser checks."""
    for call in calls_of(name):
        _accept(call)


@pytest.mark.parametrize("name", [n for n in PAGES if n != "CHANGELOG.md"])
def test_a_call_in_the_text_names_a_command_and_its_options(name: str) -> None:
    """Its arguments may be left out, or be words in capitals."""
    for call in named_in(name):
        words = [word for word in call if word not in ("…", "...")]
        try:
            _accept(words)
        except click.exceptions.NoArgsIsHelpError:
            continue  # `bedrock-spark deploy`
        except click.UsageError as exc:
            if not _NOT_WHOLE.search(exc.format_message()):
                raise


def _accept(call: list[str]) -> None:
    try:
        with suppress(click.exceptions.Exit):  # --help and --version end the program
            parse(call)
    except click.UsageError as exc:
        exc.add_note(f"bedrock-spark {' '.join(call)}")
        raise


def test_the_pages_have_calls_of_most_commands() -> None:
    """Else the patterns above would find nothing."""
    found = {call[0] for name in PAGES for call in calls_of(name) if call}
    assert {"run", "plan", "check", "status", "results", "deploy", "completion"} <= found
    assert len(found) > 12


@pytest.mark.parametrize("name", PAGES)
def test_the_programs_of_spark_submit_take_their_arguments(name: str) -> None:
    """Those after the program: before it, they are Spark's."""
    for call in calls_of(name, "spark-submit"):
        ours = [i for i, word in enumerate(call) if re.search(r"jobs(/\w+\.py$|-path)", word)]
        if ours:
            arguments = read_arguments(call[ours[0] + 1 :], None)
            assert arguments.config.endswith(".yaml"), call


# Commands of the AWS CLI that are no calls of an API, and options of every command.
_OTHER_COMMANDS = ("s3", "configure", "sso", "login")
_SERVICES = {"s3api": "s3"}  # the names of botocore
_EVERYWHERE = {"--cli-input-json", "--query", "--output", "--region", "--profile", "--endpoint-url"}


@pytest.mark.parametrize("name", PAGES)
def test_the_aws_cli_has_the_commands_and_options(name: str) -> None:
    """By the service models that boto3 has, too. A block names every option that is required."""
    for call, is_whole in (
        *((call, True) for call in calls_of(name, "aws")),
        *((call, False) for call in named_in(name, "aws")),
    ):
        if len(call) > 1 and call[0] not in _OTHER_COMMANDS:
            needed, known = _options_of(_SERVICES.get(call[0], call[0]), call[1])
            given = {word.split("=")[0] for word in call[2:] if word.startswith("--")}
            assert given <= known | _EVERYWHERE, call
            assert not is_whole or needed <= given, call


@cache
def _options_of(service: str, command: str) -> tuple[set[str], set[str]]:
    """Return the required options of a command of the AWS CLI, and all."""
    model = botocore.session.get_session().get_service_model(service)
    (name,) = [op for op in model.operation_names if xform_name(op, "-") == command]
    shape = model.operation_model(name).input_shape
    members, required = (shape.members, shape.required_members) if shape else ({}, [])
    return _as_options(required), _as_options(members)


def _as_options(names: Iterable[str]) -> set[str]:
    return {f"--{xform_name(name, '-')}" for name in names}


@pytest.mark.parametrize("name", PAGES)
def test_make_has_the_targets(name: str) -> None:
    """In blocks and in the text."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for call in [*calls_of(name, "make"), *named_in(name, "make")]:
        for target in (word for word in call if re.fullmatch(r"[a-z][a-z0-9-]*", word)):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), call
