"""The canary: a few records asked one by one before batch jobs are paid for.

A batch job does not check a record's body against the model before it runs, so a body that the
model refuses fails in every record, at the end of a job of hours. Here the very bodies of the
shards are sent to the model itself, for cents.

The answers are not kept: the batch job asks these records again. What they cost is, in canary.json,
try by try. A canary that passed is not asked again; it says nothing of the records it did not ask.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from bedrock_spark.aws.clients import runtime_client
from bedrock_spark.clock import Clock
from bedrock_spark.config import CanaryConfig
from bedrock_spark.errors import CanaryError, InvokeError, InvokeRefusedError, InvokeRetryableError
from bedrock_spark.families import Answer, family_of
from bedrock_spark.invoke.caller import ModelCaller
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.invoke.redact import redact
from bedrock_spark.progress import Observer, Progress, unobserved
from bedrock_spark.run_folder.canary_results import Canary, CanaryFailure, add_try, read_tries
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.records import first_records
from bedrock_spark.run_folder.run import Run
from bedrock_spark.shards.lines import ShardLine

_ATTEMPTS = 5
_CONCURRENCY = 5
# Throttled for longer than this, a record counts for nothing.
_PATIENCE_SECONDS = 180.0
# Longer than a model takes: a call that is given up may have been paid for.
_READ_TIMEOUT_SECONDS = 300
_IDS_SHOWN = 5


def is_canary_due(run: Run) -> bool:
    """Tell whether the run's canary was not asked yet, or did not pass by the config as it is."""
    wanted = run.config.canary
    if not wanted.records:
        return False
    tries = read_tries(run.storage)
    return not tries or _is_refused(tries[-1], wanted)


def ask_canary(
    run: Run, shards: Sequence[Shard], clock: Clock, observe: Observer = unobserved
) -> Canary:
    """Ask a few records of the shards, and write down what came of it.

    Raises CanaryError where the model refuses more of them than it may, or answers none.
    """
    wanted = run.config.canary
    model_id = wanted.model_id or run.config.model.id
    caller = _caller(run, model_id, clock)
    records = first_records(run.storage, shards, wanted.records)
    with ThreadPoolExecutor(_CONCURRENCY) as pool:
        try:
            replies = list(pool.map(lambda record: _ask(caller, record), records))
        except InvokeRefusedError as exc:
            raise CanaryError(
                f"canary: {model_id} answers nobody on demand: {exc} Check the id, its Region, and "
                f"bedrock:InvokeModel on it. {_way_out()}"
            ) from None
    canary = _add_up(model_id, clock.now(), replies)
    add_try(run.storage, canary)
    observe(Progress("canary", canary.answered, canary.asked, "answered"))
    if _is_refused(canary, wanted):
        raise _refusal(canary, wanted)
    return canary


def _caller(run: Run, model_id: str, clock: Clock) -> ModelCaller:
    client = runtime_client(run.aws, _READ_TIMEOUT_SECONDS, _CONCURRENCY)
    return ModelCaller(
        client=client,
        model_id=model_id,
        family=family_of(run.config.model),
        limiter=RateLimiter(clock, None, None, learns=False),
        clock=clock,
        attempts=_ATTEMPTS,
        until=clock.now() + _PATIENCE_SECONDS,
    )


@dataclass(frozen=True)
class _Reply:
    """What came of one record: the parts of its answer that count, or an error."""

    record: ShardLine
    answer: Answer | None = None
    error: InvokeError | None = None

    @property
    def is_refused(self) -> bool:
        """Tell whether the model would refuse this body in a batch job, too."""
        return self.error is not None and not isinstance(self.error, InvokeRetryableError)


def _ask(caller: ModelCaller, record: ShardLine) -> _Reply:
    try:
        output = msgspec.json.decode(caller.ask(record.body))
    except InvokeRefusedError:
        raise
    except InvokeError as exc:
        return _Reply(record, error=exc)
    return _Reply(record, caller.family.read(output) if isinstance(output, dict) else Answer())


def _add_up(model_id: str, now: float, replies: list[_Reply]) -> Canary:
    answered = [r for r in replies if r.answer is not None]
    answers = [r.answer for r in answered if r.answer is not None]
    return Canary(
        model_id=model_id,
        asked_at=now,
        asked=len(replies),
        answered=len(answered),
        refused=sum(r.is_refused for r in replies),
        line_bytes=sum(r.record.line_bytes for r in answered),
        input_tokens=sum(a.input_tokens or 0 for a in answers),
        output_tokens=sum(a.output_tokens or 0 for a in answers),
        failures=_grouped([r for r in replies if r.error is not None]),
    )


def _grouped(failed: list[_Reply]) -> tuple[CanaryFailure, ...]:
    """Group errors that say the same, the most frequent first."""
    groups: dict[tuple[int | None, str, str], list[str]] = defaultdict(list)
    for reply in failed:
        assert reply.error is not None
        ids = reply.error.ids
        message = redact(str(reply.error), reply.record.body)
        groups[ids.get("error_code"), ids.get("error_type", ""), message].append(
            reply.record.recordId
        )
    failures = (
        CanaryFailure(len(record_ids), *same, tuple(record_ids))
        for same, record_ids in groups.items()
    )
    return tuple(sorted(failures, key=lambda failure: -failure.count))


def _is_refused(canary: Canary, wanted: CanaryConfig) -> bool:
    share = canary.error_share
    return share is None or share > wanted.max_error_share


def _refusal(canary: Canary, wanted: CanaryConfig) -> CanaryError:
    lines = "\n".join(f"  {_shown(failure)}" for failure in canary.failures)
    counts = {"asked": canary.asked, "refused": canary.refused}
    if canary.error_share is None:
        return CanaryError(
            f"canary: none of {canary.asked} records got an answer from {canary.model_id}, and no "
            f"batch job was submitted:\n{lines}\n  Run again later. {_way_out()}",
            **counts,
        )
    return CanaryError(
        f"canary: {canary.refused} of {canary.asked} records were refused by {canary.model_id}, "
        f"and no batch job was submitted:\n{lines}\n  Mend the request or the rows and begin again "
        f"with a new run_uri. If these rows are exceptions, raise canary.max_error_share (it is "
        f"{wanted.max_error_share:g})",
        **counts,
    )


def _shown(failure: CanaryFailure) -> str:
    ids = ", ".join(failure.record_ids[:_IDS_SHOWN])
    more = ", …" if failure.count > _IDS_SHOWN else ""
    said = f"{failure.error_code} {failure.error_type}: {failure.message}"
    return f"{failure.count} with {said} (records {ids}{more})"


def _way_out() -> str:
    return (
        "Where batch jobs may use the model and single calls may not, set canary.model_id to an "
        "inference profile or provisioned model of the same family, or canary.records: 0"
    )
