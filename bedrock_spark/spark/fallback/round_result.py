"""The result of one round of the fallback: what its tasks did, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bedrock_spark.errors import FallbackRefusedError
from bedrock_spark.invoke.refusals import ALIKE, most_alike
from bedrock_spark.spark.fallback.task import TaskResult


@dataclass(frozen=True)
class Round:
    """The result of one round: records that were asked, and calls that met a 429.

    changed: records that were not asked because their shard must be collected again
    answered: records that the model answered
    refused: records that it refused in tasks without any answer; they may be asked again
    alike: how many of these have the most frequent error; message: that error
    is_stopped: whether a task asked no more records because many were refused alike
    no_flex: what the service says of a model without the flex tier, None if it did not say so
    """

    records: int = 0
    throttled: int = 0
    changed: int = 0
    answered: int = 0
    refused: int = 0
    alike: int = 0
    message: str = ""
    is_stopped: bool = False
    no_flex: str | None = None


def add_up(done: Sequence[TaskResult]) -> Round:
    """Add up the results of the tasks of a round."""
    refused: Counter[str] = Counter()
    messages: dict[str, str] = {}
    for result in done:
        refused.update(result.refused)
        messages = {**result.messages, **messages}
    pattern, alike = most_alike(refused)
    return Round(
        records=sum(r.asked for r in done),
        throttled=sum(r.throttled for r in done),
        changed=sum(r.changed for r in done),
        answered=sum(r.answered for r in done),
        refused=refused.total(),
        alike=alike,
        message=messages.get(pattern, ""),
        is_stopped=any(r.is_stopped for r in done),
        no_flex=next((r.no_flex for r in done if r.no_flex is not None), None),
    )


def check_refusals(asked: Round, model_id: str, run_uri: str) -> None:
    """Raise FallbackRefusedError if the model refused many records alike and answered none."""
    if asked.answered or asked.alike < ALIKE:
        return
    raise FallbackRefusedError(
        f"{run_uri}: the fallback's model {model_id} refused {asked.alike:,} records alike and "
        f'answered none: "{asked.message}". So this is taken for a refusal of the account or of an '
        "option of the call, and the records stay unanswered. Correct it (access to the model; "
        "fallback.model_id, guardrail, performance and service_tier), and run the same command. To "
        "end the run without these answers, run bedrock-spark collect"
    )
