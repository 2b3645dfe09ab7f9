"""docs/errors.md has a paragraph for each error, and `bedrock-spark help` prints it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bedrock_spark import error_page
from bedrock_spark.cli import main
from bedrock_spark.environment.packages import copy_package
from bedrock_spark.errors import BedrockSparkError, ExitCode
from tests.unit.test_errors import TREE

PAGE = error_page.error_page()
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
KINDS = [code for code in ExitCode if code is not ExitCode.DONE]


@pytest.mark.parametrize("kind", TREE)
def test_each_error_has_a_paragraph_with_its_exit_code(kind: type[BedrockSparkError]) -> None:
    """It begins with the class and the code, and then says what happened and what to do."""
    text = SECTIONS[kind.topic]
    assert text.startswith(f"`{kind.__name__}`, exit code {int(kind.exit_code)}. ")
    assert len(text.split()) > 20


@pytest.mark.parametrize("code", KINDS)
def test_each_kind_of_exit_code_has_a_paragraph(code: ExitCode) -> None:
    """For what ends a command without an error of the package."""
    text = " ".join(SECTIONS[code.topic].split())
    assert re.match(rf"(`\w+`, e|E)xit code {int(code)}\. ", text)


def test_there_is_no_other_paragraph_and_the_order_is_that_of_the_alphabet() -> None:
    """So that a person finds one on the page."""
    assert set(SECTIONS) == {k.topic for k in TREE} | {code.topic for code in KINDS}
    assert list(SECTIONS) == sorted(SECTIONS)


@pytest.mark.parametrize("topic", SECTIONS)
def test_help_prints_a_paragraph_as_plain_text(topic: str) -> None:
    """Every word of it, without the marks of Markdown, in lines that fit a terminal."""
    shown = CliRunner().invoke(main, ["help", topic])
    assert shown.exit_code == 0
    assert not re.search(r"[`*]|\]\(", shown.stdout)
    assert max(map(len, shown.stdout.splitlines())) <= 96 or topic in main.commands
    assert f"xit code {int(exit_code_of(topic))}. " in shown.stdout


def exit_code_of(topic: str) -> ExitCode:
    codes = {code.topic: code for code in KINDS} | {k.topic: k.exit_code for k in TREE}
    return codes[topic]


def test_help_lists_commands_and_errors() -> None:
    """With a sentence for each; the help of a command is that of --help."""
    listed = CliRunner().invoke(main, ["help"]).stdout
    assert [name for name in [*main.commands, *SECTIONS] if f"\n  {name} " not in listed] == []
    own = CliRunner().invoke(main, ["plan", "--help"]).stdout.split()
    both = CliRunner().invoke(main, ["help", "plan"]).stdout.split()
    assert both[-len(own) :] == own
    assert both[0] == "PlanError,"


def test_an_unknown_topic_is_refused() -> None:
    failed = CliRunner().invoke(main, ["help", "bugdet"])
    assert failed.exit_code == ExitCode.USAGE
    assert failed.stderr == "error: bugdet: is no error and no command; did you mean budget?\n"


def test_what_a_cluster_gets_has_the_page(tmp_path: Path) -> None:
    """The archive and the zip are put together by the same copy."""
    copy_package(tmp_path)
    assert (tmp_path / "bedrock_spark" / error_page.FILE).read_text("utf-8") == PAGE
