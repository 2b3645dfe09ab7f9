"""Calls of programs in a text of the shell; those of `bedrock-spark` parsed as the program does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from bedrock_spark.cli import main

PROGRAM = "bedrock-spark"
_PUNCTUATION = set("();<>|&")


def calls_in(text: str, program: str = PROGRAM) -> Iterator[list[str]]:
    """Yield the arguments of each call of a program in commands of the shell."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        for word in words:
            for inner in re.findall(r"\$\((.*?)\)", word):
                yield from calls_in(inner, program)
        for start, word in enumerate(words):
            if word == program and (not start or not words[start - 1].startswith("-")):
                yield _until_punctuation(words[start + 1 :])


def _until_punctuation(words: list[str]) -> list[str]:
    ends = [i for i, word in enumerate(words) if word and set(word) <= _PUNCTUATION]
    return words[: ends[0]] if ends else words


def parse(words: list[str]) -> click.Context:
    """Return the context of a call that is not made. Raises UsageError for what is wrong."""
    command: click.Command = main
    context = main.make_context(PROGRAM, list(words))
    while isinstance(command, click.Group):
        arguments = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, arguments)
        assert found is not None
        command = found
        context = command.make_context(name, rest, parent=context)
    return context
