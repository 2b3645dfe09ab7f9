"""`bedrock-spark invoke`: ask a model one thing and see the answer come."""

from __future__ import annotations

import sys
from typing import Any

import click

from bedrock_spark.cli.invoke.options import DEFAULT_MAX_TOKENS, Asked, check_asked
from bedrock_spark.cli.stages import INTERRUPTED
from bedrock_spark.families import FAMILIES


@click.command()
@click.argument("prompt", required=False)
@click.option("--model", metavar="ID", help="A model id, inference profile, or ARN of any kind.")
@click.option("--system", metavar="TEXT", help="The system prompt.")
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    help=f"The longest answer; {DEFAULT_MAX_TOKENS:,} if not given.",
)
@click.option("--temperature", type=click.FloatRange(0, 2))
@click.option(
    "--family",
    type=click.Choice([family.name for family in FAMILIES]),
    metavar="NAME",
    help="The model's family, where its id does not tell (docs/families.md).",
)
@click.option("--converse", is_flag=True, help="Ask by Converse, whatever the model.")
@click.option("--run", metavar="URI", help="Ask a record of this prepared run: the first, or …")
@click.option("--record", metavar="ID", help="… the one with this record id, or …")
@click.option("--key", multiple=True, metavar="VALUE", help="… the one of the row with this key.")
@click.option("--config", type=click.Path(), help="Ask what this config would ask of …")
@click.option("--row", metavar="JSON", help="… this row: an object of its columns.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the whole answer as the model gave it."
)
@click.option(
    "--reasoning/--no-reasoning",
    "shows_reasoning",
    default=None,
    help="Show the reasoning on stderr; if not given, where that is a terminal.",
)
@click.option("--region", help="The Region, if not that of the ARN, the run or the environment.")
@click.option("--endpoint-url", help="Where AWS is, when it is not AWS.")
def invoke(as_json: bool, shows_reasoning: bool | None, **given: Any) -> None:
    """Ask a model one thing and print the answer as it comes. PROMPT may be - for stdin.

    Without --run or --config it asks PROMPT of --model. The answer is on stdout; what it took is on
    stderr.
    """
    from bedrock_spark.cli.invoke.ask import ask

    asked = Asked(**given)
    check_asked(asked)
    if asked.prompt is not None:
        asked = Asked(**{**given, "prompt": _prompt(asked.prompt)})
    if shows_reasoning is None:
        shows_reasoning = sys.stderr.isatty()
    sys.exit(ask(asked, as_json, shows_reasoning))


def _prompt(given: str) -> str:
    """Return the prompt, read from stdin where it is -; the end of its last line is not part."""
    try:
        text = given
        if given == "-":
            text = sys.stdin.buffer.read().decode().rstrip("\r\n")
        text.encode()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except UnicodeError:
        raise click.UsageError("the prompt is not UTF-8") from None
    if not text.strip():
        raise click.UsageError("the prompt is empty")
    return text
