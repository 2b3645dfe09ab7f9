"""The commands of `bedrock-spark`, in the order of a run.

A command is imported when it is called, or when its help is read.
"""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from bedrock_spark._version import __version__
from bedrock_spark.cli.examples import show_examples_as_lines
from bedrock_spark.cli.lazy_commands import LazyCommands
from bedrock_spark.cli.usage_error import end_with, json_usage_errors, output_asked_by
from bedrock_spark.errors import ExitCode

# For each command: where it is in this folder, and its line in the list of --help. In the order of
# that list: as a run needs them.
_COMMANDS = {
    "demo": ("demo:demo", "Run the whole pipeline on real text against a local Bedrock."),
    "init": (
        "init:init",
        "Write a config that runs as it is, its IAM policies, and the command lines.",
    ),
    "check": ("check:check", "Show every problem of a config at once."),
    "iam": ("iam:iam", "Print the least IAM policies for a config: caller, Spark, service role."),
    "doctor": (
        "doctor:doctor",
        "Show what would fail late: credentials, models, roles, bucket, quotas, source, machines.",
    ),
    "invoke": (
        "invoke.command:invoke",
        "Ask a model one question and print the answer as it arrives.",
    ),
    "preview": (
        "preview:preview_command",
        "Ask for the answers of a few rows, and show them as they come.",
    ),
    "plan": ("plan:plan_command", "Show what a run would do and cost."),
    "run": ("stage_commands:run", "Run every stage that is not done yet."),
    "prepare": ("stage_commands:prepare", "Cut the source table into shards."),
    "submit": (
        "stage_commands:submit",
        "Submit and watch batch jobs until every shard is settled. Needs no Spark.",
    ),
    "advance": (
        "stage_commands:advance",
        "Check the batch jobs once and submit new ones; exit 10 if more is to do. Needs no Spark.",
    ),
    "collect": (
        "stage_commands:collect",
        "Join the answers to the rows, and write the results and the report.",
    ),
    "fallback": (
        "stage_commands:fallback",
        "Ask the unanswered records online, collect again, and write the results and the report.",
    ),
    "status": ("runs:status", "Show the stage of a run, its jobs, and what blocks it."),
    "stop": ("runs:stop", "Stop every active job of a run."),
    "report": ("report:report", "Write a run as one HTML page that needs nothing else."),
    "errors": (
        "errors:errors",
        "Show why rows of a run are not ok, grouped, and whether asking again helps.",
    ),
    "show": (
        "show:show",
        "Show records of a run: request, every answer and error, rows, cost.",
    ),
    "results": ("results:results", "Show or save the collected rows of a run."),
    "compare": (
        "compare:compare",
        "Show what differs between the rows of two runs, or from true values.",
    ),
    "runs": (
        "list_runs:list_runs",
        "List the runs below a prefix with their state, rows and cost, the newest first.",
    ),
    "ui": (
        "ui:ui",
        "Open a local page: runs and their records, a playground for models, the rows of a config.",
    ),
    "clean": (
        "clean:clean_command",
        "Delete what finished runs no longer need: requests, answers, jobs.",
    ),
    "answers": (
        "answers:answers",
        "Merge the small files of a store of answers, and delete what they replace a week later.",
    ),
    "environment": (
        "environment:environment",
        "Build what a cluster needs: an archive of all packages, and a zip of this one.",
    ),
    "deploy": ("deploy:deploy", "Write the files that run a config on a platform."),
    "jobs-path": (
        "jobs_path:jobs_path",
        "Print the path of the installed program of a stage, for spark-submit.",
    ),
    "emulator": (
        "emulator:emulator",
        "Serve Amazon Bedrock (batch, provisioned throughput, runtime) and S3 on this machine.",
    ),
    "completion": (
        "completion:completion",
        "Print the script that completes commands and options in bash (4.4 or newer), fish or zsh.",
    ),
    "schema": (
        "schema:schema",
        "Print the JSON Schema of what a command prints with --json, such as `plan`.",
    ),
    "help": ("help:help_command", "Explain an error, as the line below it names it; or a command."),
}
ORDER = tuple(_COMMANDS)


class _InOrder(click.Group):
    """A group that lists its commands in the order of a run, without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        place = {name: i for i, name in enumerate(ORDER)}
        return sorted(self.commands, key=lambda name: (place.get(name, len(ORDER)), name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, each with its whole sentence."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin with what is typed."""
        items = [
            CompletionItem(name, help=line)
            for name, (_, line) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options of the group. An error has the form that the words ask for."""
        ctx.meta[__name__] = tuple(args)
        with json_usage_errors(ctx.meta[__name__]):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. A missing module is a message that names the extra to install."""
        try:
            with json_usage_errors(ctx.meta[__name__]):
                return super().invoke(ctx)
        except ModuleNotFoundError as exc:
            from bedrock_spark.cli.extras import how_to_install

            advice = how_to_install(exc)
            if advice is None:
                raise
            end_with(output_asked_by(ctx.meta[__name__]), ExitCode.CONFIG, advice)


@click.group(
    cls=_InOrder,
    commands=LazyCommands(
        {name: f"bedrock_spark.cli.{place}" for name, (place, _) in _COMMANDS.items()},
        show_examples_as_lines,
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Progress and errors go to stderr, results to stdout. Exit codes: "
    "docs/troubleshooting.md. Errors: bedrock-spark help.",
)
@click.version_option(__version__)
def main() -> None:
    """Ask an Amazon Bedrock model one question per row, by batch inference, on Spark."""
