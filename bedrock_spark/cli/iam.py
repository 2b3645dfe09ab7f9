"""`bedrock-spark iam`: the least policies for a config."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

import click
from pydantic import RootModel

from bedrock_spark.aws.clients import region_here
from bedrock_spark.check import check_config
from bedrock_spark.check_stages import check_stages
from bedrock_spark.cli.config_argument import with_config
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_command
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.config_file import open_config
from bedrock_spark.errors import ConfigError, ExitCode
from bedrock_spark.permissions import FORMATS, NAMES, policies_of, policies_of_all

_JSON = "json"


class NamedPolicies(RootModel[dict[str, dict[str, Any]]]):
    """Policies by name: `caller`, `spark` if it needs any, `trust` and `service_role`."""


@click.command(epilog="Example: bedrock-spark iam tickets.yaml --format terraform > iam.tf.json")
@with_output_options(json_type=NamedPolicies)
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(FORMATS)),
    default=_JSON,
    show_default=True,
    help="json: one object with every policy by name.",
)
@click.option(
    "--policy",
    type=click.Choice(NAMES),
    help="Print one policy alone, as the AWS CLI takes it: aws iam put-role-policy, for example.",
)
@with_config
def iam(
    config: str, overrides: tuple[str, ...], form: str, policy: str | None, output: Output
) -> None:
    """Print the least IAM policies for a config: caller, Spark, service role. Makes no call.

    They name the config's own account, Regions, folders and models. docs/iam.md explains them.
    """

    if output.as_json and form != _JSON:
        raise click.UsageError(f"--json and --format {form} contradict each other")

    if policy is not None and form != _JSON:
        raise click.UsageError(f"--policy and --format {form} contradict each other")

    def work(display: Display) -> int:
        opened = open_config(config)
        stages = check_stages(opened, overrides)
        if stages is not None:
            configs = [stage.config for stage in stages.stages]
            policies = policies_of_all(configs, region_here(), stages.run_uri)
        else:
            policies = policies_of(check_config(opened, overrides), region_here())
        named = policies.named()
        if policy is not None:
            named = {policy: named.get(policy) or _none(config, policy)}
        if output.as_json:
            display.show_json(named)
        elif policy is not None:
            click.echo(json.dumps(named[policy], indent=2))
        else:
            click.echo(FORMATS[form](policies))
        return ExitCode.DONE

    sys.exit(run_command(work, output))


def _none(config: str, policy: str) -> NoReturn:
    raise ConfigError(f"{config}: needs no policy {policy}: no statement would be in it")
