"""`bedrock-spark ui`: a local page for runs, records, models and the rows of a config."""

from __future__ import annotations

import sys
import webbrowser
from typing import TYPE_CHECKING

import click

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_to_end
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.errors import ExitCode

if TYPE_CHECKING:
    from bedrock_spark.ui.settings import UiSettings


@click.command(epilog="Example: bedrock-spark ui s3://my-bucket/runs/ --allow-calls")
@with_output_options(as_json=False)
@click.option("--allow-calls", is_flag=True, help="Let pages call models, which costs money.")
@click.option(
    "--allow-control", is_flag=True, help="Let pages stop runs, and go on with their batch jobs."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    show_default="a free one",
    help="The port on 127.0.0.1.",
)
@click.option(
    "--open/--no-open",
    "opens",
    default=None,
    help="Open the address in a browser; if not given, only on a terminal.",
)
@click.option("--endpoint-url", help="The endpoint to use instead of AWS, such as a local Bedrock.")
@click.option("--region", help="The Region, if neither the run nor the environment names one.")
@click.argument("place", required=False)
def ui(
    place: str | None,
    allow_calls: bool,
    allow_control: bool,
    port: int,
    opens: bool | None,
    region: str | None,
    endpoint_url: str | None,
    output: Output,
) -> None:
    """Open a local page: runs and their records, a playground for models, the rows of a config.

    PLACE is what the page begins with: a folder of runs, a run_uri, or a config (*.yaml). The page
    is on this machine only, and its address has a token. It reads, and does nothing else unless an
    option allows it. Ctrl-C ends it.
    """

    def work() -> int:
        from bedrock_spark.ui.settings import UiSettings, place_of

        aws = AwsSettings(region, endpoint_url)
        started_with = None if place is None else place_of(place, aws)
        settings = UiSettings(started_with, aws, allow_calls, allow_control)
        serve_pages(settings, display, port, opens)
        return ExitCode.DONE

    display = Display(output)
    output.begin_logging()
    # Ctrl-C is how this command ends, not how it fails.
    sys.exit(run_to_end(work, display, lambda interrupt: ExitCode.DONE))


def serve_pages(
    settings: UiSettings,
    display: Display,
    port: int = 0,
    opens: bool | None = None,
    path: str = "/",
) -> None:
    """Print the address of the pages, and serve them until the process is interrupted.

    path: of the page that the address is of, with its query
    opens: whether a browser opens the address; None: only on a terminal
    Raises ConfigError if another process uses the port.
    """
    from bedrock_spark.ui.server import listen

    server = listen(settings, port)
    address = server.address_of(path)
    display.close(address)
    if opens or (opens is None and sys.stdout.isatty()):
        webbrowser.open(address)
    server.serve()
