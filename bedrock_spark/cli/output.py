"""The options that say what a command prints, the same for every command."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from bedrock_spark.screen import JsonFormatter

LOGS = ("text", "json")
_VERBOSE = "%(asctime)s %(levelname)s %(name)s %(message)s"
# As the lines of progress: the time comes first.
_FORMAT, _TIME = "%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"


@dataclass(frozen=True)
class Output:
    """What a command prints.

    as_json: one JSON object on stdout at the end, everything else on stderr
    is_quiet: only errors and the closing line
    is_verbose: also every change of state, as log lines
    logs_json: what goes to stderr is one JSON object a line
    """

    as_json: bool = False
    is_quiet: bool = False
    is_verbose: bool = False
    logs_json: bool = False

    def begin_logging(self) -> None:
        """Log to stderr what the options ask for: nothing but errors, warnings, or all."""
        if self.is_verbose:
            logging.basicConfig(format=_VERBOSE, stream=sys.stderr)
        else:
            logging.basicConfig(format=_FORMAT, datefmt=_TIME, stream=sys.stderr)
        if self.logs_json:
            for handler in logging.getLogger().handlers:
                if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
                    handler.setFormatter(JsonFormatter())
        level = logging.INFO if self.is_verbose else logging.WARNING
        logging.getLogger("bedrock_spark").setLevel(logging.ERROR if self.is_quiet else level)


def with_output_options(
    as_json: bool = True,
    json_help: str = "Print one JSON object on stdout at the end.",
    json_type: Any = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command --json, --quiet, --verbose and --log; it gets them as `output`.

    json_type: the dataclass or pydantic model that --json prints; `json_schema.py` publishes it.
        `module:name` if its module should not be imported before that; `a:b | c:d` for a union
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, quiet: bool, verbose: bool, log: str, **kwargs: Any) -> Any:
            if quiet and verbose:
                raise click.UsageError("--quiet and --verbose contradict each other")
            json_wanted = kwargs.pop("json_wanted", False)
            output = Output(json_wanted, quiet, verbose, logs_json=log == "json")
            return command(*args, output=output, **kwargs)

        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.json_type = json_type  # type: ignore[attr-defined]
        called.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
        decorated: Callable[..., Any] = called
        for add in (
            click.option(
                "--log",
                type=click.Choice(LOGS),
                default="text",
                show_default=True,
                help="The form of what goes to stderr; json is one object a line.",
            ),
            click.option("--verbose", "-v", is_flag=True, help="Log every change of state."),
            click.option(
                "--quiet", "-q", is_flag=True, help="Print only errors and the closing line."
            ),
        ):
            decorated = add(decorated)
        if as_json:
            decorated = click.option("--json", "json_wanted", is_flag=True, help=json_help)(
                decorated
            )
        return decorated

    return decorate
