"""The commands that run one stage of a run that a config describes, or all of them.

`stages.py` has the stages. It is imported when one runs: the help and the completion of a command
do without it.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import click

from bedrock_spark.cli.config_argument import PLAN_HELP, PLAN_METAVAR, with_config
from bedrock_spark.cli.lease_wait import add_lease_wait
from bedrock_spark.cli.output import Output, with_output_options

_CONFIG = (
    "CONFIG is the YAML file of the run, such as tickets.yaml: docs/config.md lists its keys. Run "
    "the command again to continue a run: it does what is left."
)
_REPORT = "bedrock_spark.run_folder.report_shape:ReportJson"
_REPORTS = f"{_REPORT} | bedrock_spark.chain.report:StagesReportJson"
_STEP = "bedrock_spark.fanout.step_result:StepResult"


def _stage_command(
    name: str, summary: str, note: str, example: str, json_type: str
) -> click.Command:
    """Return a command that runs a stage.

    name: of the function of the stage
    note: after the summary in its help: when to use it
    json_type: see `with_output_options`
    Options of its own are passed to the stage, but for --lease-wait and --plan, which are about the
    run.
    """

    @click.command(
        name=name,
        help=f"{summary} {note}".rstrip() + f"\n\n{_CONFIG}",
        short_help=summary,
        epilog=f"Example: bedrock-spark {example}",
    )
    @with_output_options(json_type=json_type)
    @with_config
    def command(
        config: str,
        overrides: tuple[str, ...],
        output: Output,
        lease_wait: float = 0.0,
        plan: str | None = None,
        **own: Any,
    ) -> None:
        from bedrock_spark.cli import stages

        work = partial(getattr(stages, name), **own)
        code = stages.perform(
            *(work, config, overrides, output),
            lease_wait=lease_wait,
            plan=plan,
            on_stages=stages.run_stages if name == "run" else None,
        )
        sys.exit(code)

    return command


def _with_plan(command: click.Command) -> click.Command:
    """Let a command keep to a plan."""
    click.option("--plan", metavar=PLAN_METAVAR, help=PLAN_HELP)(command)
    return command


def _with_partial(command: click.Command) -> click.Command:
    """Let a command publish results that are not final."""
    click.option(
        "--partial",
        is_flag=False,
        flag_value="",
        metavar="[PATH]",
        callback=lambda _context, _option, value: True if value == "" else value or False,
        help="Publish what there is, final or not, to PATH or to partial/ in the run folder. Put "
        "it after CONFIG. The place of the results is left alone.",
    )(command)
    return command


run = _with_plan(
    add_lease_wait(
        _stage_command(
            "run",
            "Run every stage that is not done yet.",
            "All stages below, one after the other.",
            "run tickets.yaml",
            _REPORTS,
        )
    )
)
prepare = _with_plan(
    _stage_command(
        "prepare",
        "Cut the source table into shards.",
        "It needs Spark. Nothing is submitted.",
        "prepare tickets.yaml",
        "bedrock_spark.cli.stages:Prepared",
    )
)
submit = add_lease_wait(
    _stage_command(
        "submit",
        "Submit and watch batch jobs until every shard is settled. Needs no Spark.",
        "",
        "submit tickets.yaml --quiet",
        _STEP,
    )
)
advance = _stage_command(
    "advance",
    "Check the batch jobs once and submit new ones; exit 10 if more is to do. Needs no Spark.",
    "For a scheduler that calls it every few minutes until it exits with 0; 10 means that there is "
    "more to do.",
    "advance tickets.yaml --json",
    _STEP,
)
collect = _with_partial(
    add_lease_wait(
        _stage_command(
            "collect",
            "Join the answers to the rows, and write the results and the report.",
            "It needs Spark.",
            "collect tickets.yaml",
            _REPORT,
        )
    )
)
fallback = _with_partial(
    add_lease_wait(
        _stage_command(
            "fallback",
            "Ask the unanswered records online, collect again, and write the results and the "
            "report.",
            "It needs Spark.",
            "fallback tickets.yaml --set fallback.max_share=0.2",
            _REPORT,
        )
    )
)
