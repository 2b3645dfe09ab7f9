"""The options of `bedrock-spark invoke`, and the check that they go together."""

from __future__ import annotations

from dataclasses import dataclass

import click

# Below the limit of every text model, and enough for an answer that fits a terminal.
DEFAULT_MAX_TOKENS = 2048
_PROMPT_OPTIONS = ("prompt", "system", "max_tokens", "temperature", "family", "converse")


@dataclass(frozen=True)
class AskOptions:
    """The parsed command line."""

    prompt: str | None = None
    model: str | None = None
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    family: str | None = None
    converse: bool = False
    run: str | None = None
    record: str | None = None
    key: tuple[str, ...] = ()
    config: str | None = None
    row: str | None = None
    region: str | None = None
    endpoint_url: str | None = None


def check_options(options: AskOptions) -> None:
    """Refuse options that do not go together. Raises UsageError."""
    if options.run is not None and options.config is not None:
        raise click.UsageError("--run and --config are two sources of a question; give one of them")
    if (options.row is None) != (options.config is None):
        raise click.UsageError("--config and --row go together")
    if options.record is not None and options.key:
        raise click.UsageError("--record and --key are two ways to name one record; give one")
    if options.run is None and (options.record is not None or options.key):
        raise click.UsageError("--record and --key go with --run")
    if options.run is None and options.config is None:
        if options.prompt is None:
            raise click.UsageError("give a PROMPT (- for stdin), or --run, or --config and --row")
        if not options.model:
            raise click.UsageError("a PROMPT needs a --model")
        return
    stray = [name for name in _PROMPT_OPTIONS if getattr(options, name) not in (None, False)]
    if stray:
        name = "PROMPT" if stray[0] == "prompt" else f"--{stray[0].replace('_', '-')}"
        raise click.UsageError(
            f"{name} does not go with --run or --config, which already define the body"
        )
