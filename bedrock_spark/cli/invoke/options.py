"""The options of `bedrock-spark invoke`, and the check that they go together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

# Options that build a body, and so do not go with a body that is there, by their words.
_PROMPT_OPTIONS = {
    **{name: f"--{name}" for name in ("system", "temperature", "family", "converse", "chat")},
    "prompt": "PROMPT",
    "max_tokens": "--max-tokens",
    "overrides": "--set",
}


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
    overrides: tuple[str, ...] = ()
    out: str | None = None
    chat: bool = False
    save: str | None = None
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
    if options.save is not None and not options.chat:
        raise click.UsageError("--save goes with --chat")
    if options.run is None and options.config is None:
        _check_prompt(options)
        return
    stray = [word for name, word in _PROMPT_OPTIONS.items() if _is_set(getattr(options, name))]
    if stray:
        raise click.UsageError(
            f"{stray[0]} does not go with --run or --config, which already define the body"
        )


def _is_set(value: Any) -> bool:
    return value is not None and value is not False and value != ()


def _check_prompt(options: AskOptions) -> None:
    if options.prompt is None and not options.chat:
        raise click.UsageError(
            "give a PROMPT (- for stdin), or --chat, or --run, or --config and --row"
        )
    if not options.model:
        raise click.UsageError(f"{'--chat' if options.chat else 'a PROMPT'} needs a --model")
    if options.chat and options.prompt == "-":
        raise click.UsageError("--chat reads its questions from stdin anyway; leave the - out")
    if options.chat and options.out is not None:
        raise click.UsageError("--out is for pictures, and a chat has none")
