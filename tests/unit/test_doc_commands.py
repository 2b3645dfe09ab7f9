"""Every call of `bedrock-spark` on every page is one that the program accepts."""

from __future__ import annotations

import re
from contextlib import suppress

import click
import pytest

from tests.command_lines import calls_in, parse
from tests.unit.test_docs import PAGES, page

# In prose, capitals stand for a value, and a command may stand without its arguments.
_BLOCK = re.compile(r"^```(?:bash|sh)(?: \w+)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(bedrock-spark [^`]+)`")
_NOT_WHOLE = re.compile(r"Missing (argument|option)|requires an argument|No such command '[A-Z]+'")


def calls_of(name: str) -> list[list[str]]:
    """Return the calls in the blocks of commands of a page, whole ones."""
    return [call for block in _BLOCK.findall(page(name)) for call in calls_in(block)]


def named_in(name: str) -> list[list[str]]:
    """Return the calls that the text of a page names, which may lack arguments."""
    text = re.sub(r"^```.*?^```", "", page(name), flags=re.MULTILINE | re.DOTALL)
    return [call for inline in _INLINE.findall(text) for call in calls_in(inline)]


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
