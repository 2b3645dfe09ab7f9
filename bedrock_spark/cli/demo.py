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
@click.option(
    "--ui",
    "looks",
    is_flag=True,
    help="At the end, open the page of `bedrock-spark ui` on the run, and go on until Ctrl-C.",
)
def demo(folder: str, looks: bool, output: Output) -> None:
    """Run the whole pipeline on real text against a local Bedrock. Needs no AWS account."""
    missing = missing_of("emulator", "spark", "cluster", *(["ui"] if looks else []))
    if missing is not None:
        sys.exit(Display(output).fail_with(ExitCode.CONFIG, missing))
    from bedrock_spark.demo.show import show_demo

    output.begin_logging()
    display = Display(output)

    def look(run_uri: str) -> None:
        from bedrock_spark.cli.ui import serve_pages
        from bedrock_spark.ui.settings import Kind, Place, UiSettings

        # What costs or changes something does so in the local Bedrock only.
        place = Place(run_uri, Kind.RUN)
        settings = UiSettings(place, allow_calls=True, allow_control=True)
        serve_pages(settings, display)

    sys.exit(show_demo(folder, display, look) if looks else show_demo(folder, display))
