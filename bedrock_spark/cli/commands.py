"""The commands of `bedrock-spark`, in the order of a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from bedrock_spark._version import __version__
from bedrock_spark.cli import runs, stages
from bedrock_spark.cli.check import check
from bedrock_spark.cli.clean import clean_command
from bedrock_spark.cli.completion import completion
from bedrock_spark.cli.config_argument import with_config
from bedrock_spark.cli.deploy import deploy
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.doctor import doctor
from bedrock_spark.cli.environment import environment
from bedrock_spark.cli.errors import errors
from bedrock_spark.cli.examples import show_examples_as_lines
from bedrock_spark.cli.extras import how_to_install, missing_of
from bedrock_spark.cli.help import help_command
from bedrock_spark.cli.iam import iam
from bedrock_spark.cli.init import init
from bedrock_spark.cli.invoke.command import invoke
from bedrock_spark.cli.lease_wait import add_lease_wait
from bedrock_spark.cli.list_runs import list_runs
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.plan import plan_command
from bedrock_spark.cli.preview import preview_command
from bedrock_spark.cli.report import report
from bedrock_spark.cli.results import results
from bedrock_spark.cli.schema import schema
from bedrock_spark.cli.show import show
from bedrock_spark.errors import ExitCode
from bedrock_spark.fanout import StepResult
from bedrock_spark.report.json_form import ReportJson

# The order in which --help lists the commands: as a run needs them. Others follow.
ORDER = (
    *("demo", "init", "check", "iam", "doctor", "invoke", "preview", "plan"),
    *("run", "prepare", "submit", "advance", "collect", "fallback"),
    *("status", "stop", "report", "errors", "show", "results", "runs", "clean"),
    *("environment", "deploy", "jobs-path"),
    *("emulator", "completion", "schema", "help"),
)
_CONFIG = (
    "CONFIG is the YAML file of the run, such as tickets.yaml: docs/config.md lists its keys. Run "
    "the command again to continue a run: it does what is left."
)
# For each stage: when to use it, an example, and what --json prints.
_STAGES: dict[str, tuple[str, str, Any]] = {
    "run": ("All stages below, one after the other.", "run tickets.yaml", ReportJson),
    "prepare": ("It needs Spark. Nothing is submitted.", "prepare tickets.yaml", stages.Prepared),
    "submit": ("It needs no Spark.", "submit tickets.yaml --quiet", StepResult),
    "advance": (
        "It needs no Spark. For a scheduler that calls it every few minutes until it exits with 0; "
        "10 means that there is more to do.",
        "advance tickets.yaml --json",
        StepResult,
    ),
    "collect": ("It needs Spark.", "collect tickets.yaml", ReportJson),
    "fallback": (
        "It needs Spark.",
        "fallback tickets.yaml --set fallback.max_share=0.2",
        ReportJson,
    ),
}

# The commands that have a program in bedrock_spark/jobs.
_JOBS = ("run", "prepare", "submit", "collect", "fallback", "doctor")


class _InOrder(click.Group):
    """A group that lists its commands in the order of a run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        place = {name: i for i, name in enumerate(ORDER)}
        return sorted(self.commands, key=lambda name: (place.get(name, len(ORDER)), name))

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command. Its examples are lines of their own in the help, to be copied."""
        show_examples_as_lines(cmd)
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. A missing module is a message that names the extra to install."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as exc:
            advice = how_to_install(exc)
            if advice is None:
                raise
            Display().show_error(advice, ExitCode.CONFIG.topic)
            sys.exit(ExitCode.CONFIG)


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Progress and errors go to stderr, results to stdout. Exit codes: "
    "docs/troubleshooting.md. Errors: bedrock-spark help.",
)
@click.version_option(__version__)
def main() -> None:
    """Ask an Amazon Bedrock model one question per row, by batch inference, on Spark."""


def _stage_command(stage: stages.Stage) -> click.Command:
    """Return a command that runs one stage of the run that a config describes.

    Its name is the name of the function; its help begins with the first line of the docstring.
    Options of its own are passed to the stage, but for --lease-wait, which is about the run.
    """
    name = stage.__name__
    summary = (stage.__doc__ or "").split("\n", 1)[0]
    note, example, json_type = _STAGES[name]

    @main.command(
        name=name,
        help=f"{summary} {note}\n\n{_CONFIG}",
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
        **own: Any,
    ) -> None:
        work = partial(stage, **own)
        sys.exit(stages.perform(work, config, overrides, output, lease_wait=lease_wait))

    return command


def _partial_option(command: click.Command) -> None:
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


for _stage in (stages.prepare, stages.advance):
    _stage_command(_stage)
for _stage in (stages.run, stages.submit):
    add_lease_wait(_stage_command(_stage))
for _stage in (stages.collect, stages.fallback):
    _partial_option(add_lease_wait(_stage_command(_stage)))
main.add_command(runs.status)
main.add_command(runs.stop)
main.add_command(report)
main.add_command(errors)
main.add_command(show)
main.add_command(results)
main.add_command(list_runs)
main.add_command(clean_command)
main.add_command(init)
main.add_command(invoke)
main.add_command(check)
main.add_command(plan_command)
main.add_command(preview_command)
main.add_command(iam)
main.add_command(doctor)
main.add_command(environment)
main.add_command(deploy)
main.add_command(completion)
main.add_command(schema)
main.add_command(help_command)


@main.command(epilog="Example: bedrock-spark demo --folder /tmp/demo")
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


@main.command(
    name="jobs-path",
    epilog='Example: spark-submit "$(bedrock-spark jobs-path)" --config tickets.yaml',
)
@click.argument("stage", type=click.Choice(tuple(_JOBS)), default="run")
def jobs_path(stage: str) -> None:
    """Print the path of the installed program of a stage, for spark-submit."""
    path = Path(__file__).parents[1] / "jobs" / f"{stage}.py"
    if not path.is_file():
        raise click.ClickException(f"{path} is not a file: the package is in an archive")
    click.echo(path)


def _add_emulator(add: Callable[[Any], None]) -> None:
    """Add the command of the emulator, or one that says how to install it."""
    try:
        from bedrock_emulator.command import emulator
    except ModuleNotFoundError as exc:
        absent = exc

        @click.command(name="emulator", context_settings={"ignore_unknown_options": True})
        @click.argument("arguments", nargs=-1)
        def missing(arguments: tuple[str, ...]) -> None:
            """Serve a local Bedrock and S3 (not installed)."""
            raise absent

        add(missing)
        return
    add(emulator)


_add_emulator(main.add_command)
