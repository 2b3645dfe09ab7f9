"""`bedrock-spark demo`: everything on real text against a local Bedrock."""

from __future__ import annotations

import sys

import click

from bedrock_spark.cli.display import Display
from bedrock_spark.cli.extras import missing_of
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.errors import ExitCode


@click.command(epilog="Example: bedrock-spark demo --folder /tmp/demo")
@with_output_options(as_json=False)
@click.option(
    "--folder",
    type=click.Path(file_okay=False),
    default=".demo",
    show_default=True,
    help="The folder for the corpus, the results and the report.",
)
def demo(folder: str, output: Output) -> None:
    """Run the whole pipeline on real text against a local Bedrock. Needs no AWS account."""
    missing = missing_of("emulator", "spark", "cluster")
    if missing is not None:
        sys.exit(Display(output).fail_with(ExitCode.CONFIG, missing))
    from bedrock_spark.demo.show import show_demo

    output.begin_logging()
    sys.exit(show_demo(folder, Display(output)))
