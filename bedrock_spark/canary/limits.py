"""The limit of tokens that a run's answers need, if too many of the canary's were cut off.

A ceiling that is too low cuts off the answers of a whole run, and cut answers cost as much as whole
ones. So no job is submitted, and the records whose answers were cut off are asked a few times more,
each time with twice the limit, until their answers are whole. The error names that limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bedrock_spark.config import Config
from bedrock_spark.families.ceilings import ceiling_of, model_limit
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.shards.lines import ShardLine, with_limit

# Without request.max_tokens_ceiling, the limit is doubled at most this number of times.
_DOUBLINGS = 3


@dataclass(frozen=True)
class Probe:
    """An answer with a higher limit: whether it was cut off, too, and its tokens in and out."""

    is_cut: bool
    tokens: tuple[int, int]


@dataclass(frozen=True)
class FoundLimit:
    """The limit with which all answers were whole, None if none was found; and what that cost.

    probes: the number of answers that were asked for
    tokens: their input and output tokens
    """

    enough_tokens: int | None = None
    probes: int = 0
    tokens: tuple[int, int] = (0, 0)


def is_too_short(canary: Canary, config: Config) -> bool:
    """Tell whether too many answers were cut off for a run whose user wants whole ones."""
    is_wanted = config.request.on_truncated != "keep"
    return is_wanted and canary.truncated_share > config.canary.max_truncated_share


def find_limit(
    config: Config, records: Sequence[ShardLine], ask: Callable[[bytes], Probe | None]
) -> FoundLimit:
    """Ask records again with higher limits, until every answer is whole.

    records: those whose answers were cut off
    ask: asks the model for the answer to a body; returns None if there is none
    """
    ceiling, most = ceiling_of(config), highest_limit(config)
    if ceiling is None or most is None or not records:
        return FoundLimit()
    probes = input_tokens = output_tokens = 0
    left = list(records)
    enough = None
    for doublings in range(1, ceiling.doublings_to(most) + 1):
        limit = ceiling.after(doublings, most)
        still_cut = []
        for record in left:
            probe = ask(with_limit(record.body, ceiling.path, limit))
            if probe is None:
                return FoundLimit(None, probes, (input_tokens, output_tokens))
            probes += 1
            input_tokens += probe.tokens[0]
            output_tokens += probe.tokens[1]
            if probe.is_cut:
                still_cut.append(record)
        left = still_cut
        if not left:
            enough = limit
            break
    return FoundLimit(enough, probes, (input_tokens, output_tokens))


def highest_limit(config: Config) -> int | None:
    """Return the highest limit that is tried; None if the requests have none that is known."""
    ceiling, known = ceiling_of(config), model_limit(config)
    if ceiling is None:
        return None
    most = config.request.max_tokens_ceiling or ceiling.tokens << _DOUBLINGS
    return most if known is None else min(most, known)


def too_short_message(canary: Canary, config: Config) -> str:
    """Return why no job is submitted, which limit is enough, and what else a user may do."""
    return (
        f"canary: {canary.truncated} of {canary.answered} answers of {canary.model_id} were cut "
        f"off or are empty, and no batch job was submitted. {_advice(canary, config)} To "
        "accept such answers, set request.on_truncated: keep, or raise "
        f"canary.max_truncated_share (it is {config.canary.max_truncated_share:g})"
    )


def _advice(canary: Canary, config: Config) -> str:
    ceiling, most = ceiling_of(config), highest_limit(config)
    if ceiling is None:
        return (
            "The request has no limit of tokens that is known here. Look at the stop reasons of "
            "single answers (bedrock-spark invoke), correct the request, and begin a new run with "
            "a new run_uri."
        )
    key = (
        "request.max_tokens"
        if config.request.body is None
        else ".".join(("request.body", *ceiling.path))
    )
    if canary.enough_tokens is not None:
        return (
            f"{key} is {ceiling.tokens:,}; with {canary.enough_tokens:,} they were whole. Begin a "
            f"new run with a new run_uri and {key}: {canary.enough_tokens}."
        )
    if canary.probes:
        return (
            f"{key} is {ceiling.tokens:,}; with {most:,} some were cut off, too. Ask for shorter "
            "answers or less reasoning, or raise it further, and begin a new run with a new "
            "run_uri."
        )
    return f"{key} is {ceiling.tokens:,}. Raise it, and begin a new run with a new run_uri."
