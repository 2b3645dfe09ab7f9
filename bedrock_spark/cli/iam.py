"""`bedrock-spark iam`: the least policies for a config."""

from __future__ import annotations

import sys

import click

from bedrock_spark.aws.clients import region_here
from bedrock_spark.check import check_config
from bedrock_spark.cli.config_argument import with_config
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_command
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.errors import ExitCode
from bedrock_spark.permissions import FORMATS, policies_of


@click.command(epilog="Example: bedrock-spark iam tickets.yaml --format terraform > iam.tf.json")
@with_output_options(as_json=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(FORMATS)),
    default="json",
    show_default=True,
    help="json: one object with every policy by name.",
)
@with_config
def iam(config: str, overrides: tuple[str, ...], form: str, output: Output) -> None:
    """Print the least IAM policies for a config: caller, Spark, service role. Makes no call.

    They name the config's own account, Regions, folders and models. docs/iam.md explains them.
    """

    def work(_: Display) -> int:
        click.echo(FORMATS[form](policies_of(check_config(config, overrides), region_here())))
        return ExitCode.DONE

    sys.exit(run_command(work, output))
