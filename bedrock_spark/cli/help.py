"""`bedrock-spark help`: what an error means, and what to do about it."""

from __future__ import annotations

import sys
import textwrap
from difflib import get_close_matches

import click

from bedrock_spark.error_page import topics
from bedrock_spark.errors import ExitCode

_WIDTH = 96


@click.command(
    name="help",
    epilog="Examples: bedrock-spark help; bedrock-spark help budget; bedrock-spark help run",
)
@click.argument("topic", required=False)
@click.pass_context
def help_command(context: click.Context, topic: str | None) -> None:
    """Explain an error, as the line below it names it; or a command. Without TOPIC: list all."""
    root = context.find_root()
    commands = root.command
    assert isinstance(commands, click.Group)
    known = topics()
    if topic is None:
        click.echo(root.get_help())
        click.echo("\nErrors:")
        for name, text in known.items():
            click.echo(f"  {name:22} {_summary(text)}")
        return
    if topic in known:
        click.echo(_wrapped(known[topic]))
    if topic in commands.commands:
        # An error may have the name of a command, such as plan.
        command = commands.commands[topic]
        click.echo("\n" * (topic in known), nl=False)
        click.echo(command.get_help(click.Context(command, info_name=topic, parent=root)))
    elif topic not in known:
        near = get_close_matches(topic, [*known, *commands.commands], 1)
        advice = f"did you mean {near[0]}?" if near else "bedrock-spark help lists all"
        click.echo(f"error: {topic}: is no error and no command; {advice}", err=True)
        sys.exit(ExitCode.USAGE)


def _summary(text: str) -> str:
    """Return the first sentence after the one with the exit code."""
    sentences = " ".join(text.split()).split(". ")
    return textwrap.shorten(sentences[1].rstrip("."), 90, placeholder=" …")


def _wrapped(text: str) -> str:
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return "\n\n".join(textwrap.fill(p, _WIDTH, break_on_hyphens=False) for p in paragraphs)
