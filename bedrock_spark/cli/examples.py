"""The examples at the end of a command's help: `Example: COMMAND`, or `Examples: COMMAND; COMMAND`.

They are one line each, which click does not wrap, so that they can be copied.
"""

from __future__ import annotations

import re

import click

_EPILOG = re.compile(r"Examples?: (.*)", re.DOTALL)
# Click leaves the lines of a paragraph alone that begins with it.
_VERBATIM = "\b"


def examples_of(command: click.Command) -> list[str]:
    """Return the command lines of the examples in a command's help; [] without any."""
    epilog = command.epilog or ""
    if epilog.startswith(_VERBATIM):
        return [line.strip() for line in epilog.splitlines()[2:]]
    found = _EPILOG.fullmatch(epilog)
    return [line.strip() for line in found[1].split("; ")] if found else []


def show_examples_as_lines(command: click.Command) -> None:
    """Put each example of a command, and of those below it, on a line of its own."""
    if isinstance(command, click.Group):
        for below in command.commands.values():
            show_examples_as_lines(below)
    examples = examples_of(command)
    if examples:
        title = "Example:" if len(examples) == 1 else "Examples:"
        command.epilog = "\n".join([_VERBATIM, title, *(f"  {line}" for line in examples)])
