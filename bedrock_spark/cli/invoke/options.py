"""What the command line of `bedrock-spark invoke` said, and what makes no sense together."""

from __future__ import annotations

from dataclasses import dataclass

import click

# Below the ceiling of every text model, and enough for an answer that a terminal should show.
DEFAULT_MAX_TOKENS = 2048
_OF_A_PROMPT = ("prompt", "system", "max_tokens", "temperature", "family", "converse")


@dataclass(frozen=True)
class Asked:
    """What the command line said."""

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


def check_asked(asked: Asked) -> None:
    """Refuse options that do not go together. Raises UsageError."""
    if asked.run is not None and asked.config is not None:
        raise click.UsageError("--run and --config are two things to ask; give one of them")
    if (asked.row is None) != (asked.config is None):
        raise click.UsageError("--config and --row go together")
    if asked.record is not None and asked.key:
        raise click.UsageError("--record and --key are two ways to name one record; give one")
    if asked.run is None and (asked.record is not None or asked.key):
        raise click.UsageError("--record and --key go with --run")
    if asked.run is None and asked.config is None:
        if asked.prompt is None:
            raise click.UsageError("give a PROMPT (- for stdin), or --run, or --config and --row")
        if not asked.model:
            raise click.UsageError("a PROMPT needs a --model to ask")
        return
    stray = [name for name in _OF_A_PROMPT if getattr(asked, name) not in (None, False)]
    if stray:
        name = "PROMPT" if stray[0] == "prompt" else f"--{stray[0].replace('_', '-')}"
        raise click.UsageError(f"{name} does not go with --run or --config: the body is theirs")
