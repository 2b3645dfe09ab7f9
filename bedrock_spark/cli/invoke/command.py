"""`bedrock-spark invoke`: ask a model one question and print its answer as it arrives."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from bedrock_spark.cli.invoke.options import AskOptions, check_options
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.errors import ExitCode
from bedrock_spark.families import FAMILIES
from bedrock_spark.playground.options import DEFAULT_MAX_TOKENS


@click.command(
    epilog="Examples: bedrock-spark invoke --model amazon.nova-lite-v1:0 'Hello'; bedrock-spark "
    "invoke --model amazon.nova-lite-v1:0 --chat; bedrock-spark "
    'invoke --config tickets.yaml --row \'{"body": "My printer is on fire"}\''
)
@with_output_options(json_help="Print the whole answer as the model sent it.", json_type=Any)
@click.argument("prompt", required=False)
@click.option("--model", metavar="ID", help="A model id, inference profile, or ARN of any kind.")
@click.option("--system", metavar="TEXT", help="The system prompt.")
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    help=f"The longest answer, in tokens; {DEFAULT_MAX_TOKENS:,} if not given.",
)
@click.option("--temperature", type=click.FloatRange(0, 2), help="How random the answer is.")
@click.option(
    "--family",
    type=click.Choice([family.name for family in FAMILIES]),
    metavar="NAME",
    help="The model's family, if its id does not show it (docs/families.md).",
)
@click.option("--converse", is_flag=True, help="Call Converse, for any model.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Another option of the request, such as top_p=0.9, seed=7 or width=512 "
    "(docs/families.md).",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Write the pictures of the answer into this folder; no file is overwritten.",
)
@click.option(
    "--chat",
    is_flag=True,
    help="Keep a conversation: each line of the terminal or of stdin is a question.",
)
@click.option(
    "--save",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Keep the chat in this file, and go on with the chat that is there.",
)
@click.option("--run", metavar="URI", help="Send a record of this prepared run: the first, or …")
@click.option("--record", metavar="ID", help="… the one with this record id, or …")
@click.option("--key", multiple=True, metavar="VALUE", help="… the one of the row with this key.")
@click.option("--config", type=click.Path(), help="Send the request of this config for …")
@click.option("--row", metavar="JSON", help="… this row: a JSON object of its columns.")
@click.option(
    "--reasoning/--no-reasoning",
    "shows_reasoning",
    default=None,
    help="Show the reasoning on stderr; if not given, only if stderr is a terminal.",
)
@click.option(
    "--region", help="The Region, instead of that of the ARN, the run or the environment."
)
@click.option("--endpoint-url", help="Another endpoint than AWS's.")
def invoke(output: Output, shows_reasoning: bool | None, **arguments: Any) -> None:
    """Ask a model one question and print the answer as it arrives.

    PROMPT is the question; - reads it from stdin. Without --run or --config it is sent to --model.
    The answer is on stdout; its tokens, cost and seconds are on stderr.
    """
    from bedrock_spark.cli.invoke.ask import ask
    from bedrock_spark.cli.invoke.chat import chat

    options = AskOptions(**arguments)
    check_options(options)
    if options.chat and output.as_json:
        raise click.UsageError("--json does not go with --chat")
    if options.prompt is not None:
        options = replace(options, prompt=_prompt(options.prompt))
    if shows_reasoning is None:
        shows_reasoning = sys.stderr.isatty() and not output.is_quiet
    output.begin_logging()
    call = chat if options.chat else ask
    sys.exit(call(options, output, shows_reasoning))


def _prompt(argument: str) -> str:
    """Return the prompt. If the argument is -, it is read from stdin, without the last newline."""
    try:
        text = argument
        if argument == "-":
            text = sys.stdin.buffer.read().decode().rstrip("\r\n")
        text.encode()
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except UnicodeError:
        raise click.UsageError("the prompt is not UTF-8") from None
    if not text.strip():
        raise click.UsageError("the prompt is empty")
    return text
