"""The output of a command: progress and errors on stderr, results on stdout.

With --json, stdout has one JSON object and nothing else. With --quiet, there are only errors and
the closing line.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from bedrock_spark.cli.output import Output
from bedrock_spark.errors import BedrockSparkError, ExitCode
from bedrock_spark.progress import Progress
from bedrock_spark.screen import ProgressScreen

if TYPE_CHECKING:
    from bedrock_spark.report import Report

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CommandError:
    """Why a command did not exit with 0.

    kind: the name of the exit code; topic: `bedrock-spark help TOPIC` explains the error
    """

    kind: str
    message: str
    exit_code: int
    topic: str


class Display:
    """The screen of one command.

    screen: shows the progress; by default on stderr
    failure: why the command does not exit with 0, once that is known
    """

    def __init__(self, output: Output | None = None, screen: ProgressScreen | None = None) -> None:
        self.output = output or Output()
        self._screen = screen or ProgressScreen(as_json=self.output.logs_json)
        self.failure: str | None = None

    def name_run(self, run_uri: str) -> None:
        """Name the run in the lines of --log json."""
        self._screen.name_run(run_uri)

    def observe(self, progress: Progress) -> None:
        """Show the progress of a stage."""
        if not self.output.is_quiet:
            self._screen.observe(progress)

    def note(self, text: str) -> None:
        """Print what a person should know meanwhile, to stderr."""
        if not self.output.is_quiet:
            self._screen.say(text)

    def finish(self) -> None:
        """End the progress; later output is printed below it."""
        self._screen.finish()

    def say(self, text: str) -> None:
        """Print a line of the result to stdout."""
        if not self.output.is_quiet and not self.output.as_json:
            _print(text)

    def close(self, text: str) -> None:
        """Print the closing line."""
        if not self.output.as_json:
            _print(text)
        elif not self.output.is_quiet:
            self._print_error(text, "info", "end")

    def show_table(self, rows: list[tuple[str, str]]) -> None:
        """Print names and values, one pair a line."""
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            self.say(f"{name:{width}}  {value}".rstrip())

    def show_report(self, report: Report, heading: str | None = None) -> None:
        """Print the closing table of a run."""
        from bedrock_spark.cli.closing_table import closing_table

        self.say("")
        if heading is not None:
            self.say(heading)
        self.show_table(closing_table(report))

    def close_report(self, report: Report) -> None:
        """Print the closing line of a run that went well."""
        from bedrock_spark.cli.closing_table import closing_line

        self.close(closing_line(report))

    def show_json(self, values: Mapping[str, Any]) -> None:
        """Print the one JSON object, if it is asked for."""
        if self.output.as_json:
            click.echo(json.dumps(values, ensure_ascii=False))

    def fail(self, exc: BedrockSparkError) -> int:
        """Show an error; return its exit code. With --verbose, its causes have their stacks."""
        if self.output.is_verbose:
            log.info("%s", type(exc).__name__, exc_info=exc)
        return self.fail_with(exc.exit_code, str(exc), topic=exc.topic)

    def fail_with(
        self,
        code: ExitCode,
        message: str,
        values: Mapping[str, Any] | None = None,
        topic: str | None = None,
    ) -> int:
        """Show why a command does not exit with 0; return the exit code.

        values: what the JSON object has besides the error
        topic: the paragraph of docs/errors.md; None: that of the exit code
        """
        self.finish()
        self.failure = message
        self.show_error(message, topic or code.topic)
        self.show_json({**(values or {}), "error": error_json(code, message, topic)})
        return code

    def end_interrupted(self, code: ExitCode, message: str) -> int:
        """Show what a person who interrupted the command has to know; return its exit code."""
        self.finish()
        self._print_error(message, "error", "end")
        self.show_json({"error": error_json(code, message)})
        return code

    def fail_quietly(self, code: ExitCode, message: str) -> int:
        """Return the exit code of a command that a person ended; only --json says why."""
        self.show_json({"error": error_json(code, message)})
        return code

    def show_warning(self, text: str) -> None:
        """Print to stderr what a person must know although nothing failed, also with --quiet."""
        self._print_error(text, "warning", "warning", "yellow")

    def show_error(self, text: str, topic: str) -> None:
        """Print an error to stderr, and how to read its paragraph of docs/errors.md."""
        self._print_error(text, "error", "error", "red", topic)

    def _print_error(
        self,
        text: str,
        level: str,
        event: str,
        style: str | None = None,
        topic: str | None = None,
    ) -> None:
        """Print to stderr: a line for people, or one of JSON."""
        if self._screen.say_json(level, event, text, topic):
            return
        label = f"{event}: " if event != "end" else ""
        _print(f"{label}{text}", to_stderr=True, style=style)
        if topic is not None:
            _print(f"see: bedrock-spark help {topic}", to_stderr=True, style="dim")


def error_json(code: ExitCode, message: str, topic: str | None = None) -> dict[str, Any]:
    """Return a failure as --json prints it. The topic is that of the exit code if None is given."""
    return asdict(CommandError(code.name.lower(), message, int(code), topic or code.topic))


def _print(text: str, *, to_stderr: bool = False, style: str | None = None) -> None:
    from rich.console import Console

    # A console per line: it looks up sys.stdout or sys.stderr, which notebooks and tests replace.
    stream = sys.stderr if to_stderr else sys.stdout
    console = Console(file=stream, highlight=False, emoji=False)
    console.print(text, markup=False, soft_wrap=True, style=style)
