"""The arguments of a program that spark-submit or AWS Glue starts.

Glue passes arguments of its own to each program (`--JOB_NAME x`, `--TempDir s3://…`), and some that
configure the job. They are recognised by their names and left out. Any other unknown argument is an
error: it may be a misspelt one of ours.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from bedrock_spark.cli.config_argument import (
    PLAN_HELP,
    PLAN_METAVAR,
    SET_HELP,
    SET_METAVAR,
    STAGE_HELP,
    STAGE_METAVAR,
    name_stage,
)
from bedrock_spark.cli.lease_wait import LEASE_WAIT_HELP, LEASE_WAIT_METAVAR, seconds
from bedrock_spark.cli.output import LOGS, Output
from bedrock_spark.cli.usage_error import end_as_json
from bedrock_spark.run_folder.lease_wait import DEFAULT_SECONDS

_OURS = (
    *("--config", "--stage", "--set", "--lease-wait", "--plan"),
    *("--json", "--quiet", "--verbose", "--log"),
)
# https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-glue-arguments.html, and the
# reserved names of awsglue.utils.getResolvedOptions. Ours are lower-case words without these
# beginnings.
_OF_GLUE = re.compile(
    r"--(?:[A-Z][A-Z0-9_]*|TempDir|RedshiftTempDir|class|conf|scriptLocation|datalake-formats|"
    r"encryption-type|executor-cores|spark-event-logs-path|user-jars-first|"
    r"(?:additional-python|auto-scale|continuation|continuous-log|customer-driver|"
    r"customer-executor|disable|enable|extra|job-bookmark|job-language|python-modules|use-postgres|"
    r"write-shuffle)(?:-[A-Za-z0-9-]+)?)"
)


@dataclass(frozen=True)
class JobArguments:
    """What a program was started with.

    ignored: the arguments of AWS Glue that were left out
    lease_wait: in seconds
    plan: the file of a plan that prepare keeps to
    """

    config: str
    overrides: tuple[str, ...]
    output: Output
    ignored: tuple[str, ...]
    lease_wait: float
    plan: str | None = None


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are JSON if its arguments ask for that. words: the arguments"""

    words: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """End with code 2."""
        end_as_json(self.words, message)
        super().error(message)


def read_arguments(argv: Sequence[str], description: str | None) -> JobArguments:
    """Read the arguments of a program. Ends the process with code 2 if they are wrong."""
    # Without abbreviations: Glue's --conf is not our --config.
    parser = _Parser(
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", required=True, help="the YAML config of the run, a file here or in S3"
    )
    parser.add_argument("--stage", metavar=STAGE_METAVAR, help=STAGE_HELP)
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar=SET_METAVAR,
        help=SET_HELP,
    )
    parser.add_argument(
        "--lease-wait",
        type=seconds,
        default=DEFAULT_SECONDS,
        metavar=LEASE_WAIT_METAVAR,
        help=LEASE_WAIT_HELP,
    )
    parser.add_argument("--plan", metavar=PLAN_METAVAR, help=f"of run and prepare: {PLAN_HELP}")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quiet", action="store_true", help="only errors and the closing line")
    how_much.add_argument("--verbose", action="store_true", help="log every change of state")
    parser.add_argument(
        "--log", choices=LOGS, default="text", help="json: one object a line on stderr"
    )
    own, ignored = _without_glue(argv)
    parser.words = own
    arguments = parser.parse_args(own)
    is_json = arguments.log == "json"
    output = Output(arguments.json, arguments.quiet, arguments.verbose, is_json)
    return JobArguments(
        *(name_stage(arguments.config, arguments.stage), tuple(arguments.overrides)),
        *(output, ignored),
        *(arguments.lease_wait, arguments.plan),
    )


def _without_glue(argv: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Split arguments into our own ones and the names of Glue's."""
    own: list[str] = []
    ignored: list[str] = []
    in_glue = False  # whether the next value belongs to an argument of Glue
    for argument in argv:
        name = argument.partition("=")[0]
        if _OF_GLUE.fullmatch(name) and name.lower() not in _OURS:
            ignored.append(name)
            in_glue = name == argument
        elif in_glue and not argument.startswith("--"):
            in_glue = False
        else:
            own.append(argument)
            in_glue = False
    return own, tuple(ignored)
