"""The canary: send a few records to the model, one by one, before the first batch job.

A batch job does not check bodies before it runs. If the model refuses the bodies of a run, every
record fails, and that shows only at the end of a job, after hours. The canary sends bodies of the
run, byte for byte as they are in the shards, for a few cents.

If too many answers are cut off or empty, the records of these are sent again with a higher limit of
tokens, to find one that is enough: limits.py.

The answers are no results: the batch job asks these records again. With a store of answers
(`answers`) they are kept there, for later runs. canary.json keeps the tokens and the errors of
every try. A canary that passed is not sent again. It proves nothing about the records
that it did not send.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import NoReturn

from bedrock_spark.aws.clients import runtime_client
from bedrock_spark.canary.access import OTHER_ID, no_access
from bedrock_spark.canary.limits import Probe, find_limit, is_too_short, too_short_message
from bedrock_spark.clock import Clock, iso_time
from bedrock_spark.config import CanaryConfig, Config
from bedrock_spark.errors import (
    BedrockSparkError,
    CanaryAccessError,
    CanaryError,
    InvokeError,
    InvokeRecordError,
    InvokeRefusedError,
    InvokeRetryableError,
)
from bedrock_spark.families import Answer, family_of
from bedrock_spark.families.base import read_answer
from bedrock_spark.invoke.caller import InvokeOptions, ModelCaller, call_metadata
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.invoke.redact import redact
from bedrock_spark.outputs.judge import Judge, Judgement
from bedrock_spark.outputs.outcomes import REFUSED, TRUNCATED
from bedrock_spark.outputs.record_errors import RecordError
from bedrock_spark.progress import Observer, Progress, ignore_progress
from bedrock_spark.run_folder.canary_results import Canary, CanaryFailure, add_try, read_tries
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.records import first_records
from bedrock_spark.run_folder.run import Run
from bedrock_spark.shards.lines import ShardLine

log = logging.getLogger(__name__)

_ATTEMPTS = 5
_CONCURRENCY = 5
# No call is repeated after this time. A record that was throttled until then counts neither as
# answered nor as refused.
_RETRY_SECONDS = 180.0
# Longer than an answer takes: a call that times out may be billed, too.
_READ_TIMEOUT_SECONDS = 300
_IDS_SHOWN = 5


def is_canary_due(run: Run) -> bool:
    """Tell whether the run needs a canary: none was sent, or the last try did not pass.

    The last try is judged by the config as it is now. With `canary.records: 0` none is needed.
    """
    if not run.config.canary.records:
        return False
    tries = read_tries(run.storage)
    if not tries:
        return True
    return _is_refused(tries[-1], run.config.canary) or is_too_short(tries[-1], run.config)


def ask_canary(
    run: Run, shards: Sequence[Shard], clock: Clock, observe: Observer = ignore_progress
) -> Canary:
    """Send `canary.records` records to the model, and append the try to the run's canary file.

    Raises CanaryError if the model refuses a larger share than `canary.max_error_share`, cuts off a
    larger share of its answers than `canary.max_truncated_share`, gives no reply, or would refuse
    every record. In the last case a try is written only if some records were answered before that.
    A try whose answers were cut off has been paid for: the same records are not sent to the same
    model again.
    """
    config = run.config.canary
    model_id = config.model_id or run.config.model.id
    caller = _caller(run, model_id, clock)
    records = first_records(run.storage, shards, config.records)
    _refuse_cut_off_before(run, model_id, len(records))
    observe(Progress("canary", 0, len(records), "sent to the model", waits_for="the model"))
    with ThreadPoolExecutor(_CONCURRENCY) as pool:
        replies = list(pool.map(lambda record: _ask(caller, record), records))
    canary = _add_up(model_id, clock.now(), replies)
    if canary.is_denied:
        _refuse_access(run, canary, replies)
    is_refused = _is_refused(canary, config)
    if not is_refused and is_too_short(canary, run.config):
        cut = [r.record for r in replies if r.is_cut]
        found = find_limit(run.config, cut, lambda body: _ask_again(caller, body))
        canary = replace(
            canary,
            enough_tokens=found.enough_tokens,
            probes=found.probes,
            probe_tokens=found.tokens,
        )
    add_try(run.storage, canary)
    observe(Progress("canary", canary.asked, canary.asked, _counted(canary)))
    error = _refusal(canary, config) if is_refused else _too_short(canary, run.config)
    if error is not None:
        _try_to_keep(run, canary, replies)
        raise error
    _keep(run, model_id, replies, canary.asked_at)
    return canary


def _refuse_access(run: Run, canary: Canary, replies: Sequence[_Reply]) -> NoReturn:
    """Raise CanaryAccessError. What was answered before is paid for: it is counted and kept."""
    if canary.answered:
        add_try(run.storage, canary)
        _try_to_keep(run, canary, replies)
    exc = next(r.error for r in replies if isinstance(r.error, InvokeRefusedError))
    said = no_access(run.aws, canary.model_id, exc, _advice())
    raise CanaryAccessError(f"canary: {said}", asked=canary.asked, refused=canary.refused)


def _try_to_keep(run: Run, canary: Canary, replies: Sequence[_Reply]) -> None:
    """Add the answers to the store, if there is one. An error that the run has is what counts."""
    try:
        _keep(run, canary.model_id, replies, canary.asked_at)
    except BedrockSparkError as exc:
        log.warning("the canary's answers are not kept: %s", exc)


def _too_short(canary: Canary, config: Config) -> CanaryError | None:
    if not is_too_short(canary, config):
        return None
    message = too_short_message(canary, config)
    return CanaryError(message, asked=canary.asked, refused=canary.refused)


def _keep(run: Run, model_id: str, replies: Sequence[_Reply], at: float) -> None:
    """Add the answers to the store, if there is one."""
    if run.config.answers is None or not run.config.answers.is_written:
        return
    # A machine that only submits and watches jobs may lack Arrow.
    if find_spec("pyarrow") is None:
        log.warning(
            "the canary's answers are not kept in %s: that needs pyarrow, and the batch job asks "
            "these records again anyway; pip install 'bedrock-spark[cluster]' brings it",
            run.config.answers.uri,
        )
        return
    from bedrock_spark.invoke.kept_calls import CANARY, CallKeeper

    prices = run.prices
    keeper = CallKeeper(
        *(run.config, run.aws, model_id, CANARY, run.run_id, prices.of_canary, prices.image)
    )
    for reply in replies:
        if reply.output is not None:
            keeper.add(reply.record.body, reply.output, at, reply.record.recordId)
    keeper.write(at)


def _refuse_cut_off_before(run: Run, model_id: str, records: int) -> None:
    """Raise CanaryError if the last try has shown that too many of these answers are cut off."""
    tries = read_tries(run.storage)
    last = tries[-1] if tries else None
    if last is None or (last.model_id, last.asked) != (model_id, records):
        return
    if not _is_refused(last, run.config.canary) and is_too_short(last, run.config):
        found = f"{too_short_message(last, run.config)} It was found at {iso_time(last.asked_at)}"
        raise CanaryError(
            f"{found}, and these records are not paid for again: another canary.records or "
            "canary.model_id asks others",
            asked=last.asked,
            refused=last.refused,
        )


def _caller(run: Run, model_id: str, clock: Clock) -> ModelCaller:
    client = runtime_client(run.aws, _READ_TIMEOUT_SECONDS, _CONCURRENCY)
    return ModelCaller(
        client=client,
        model_id=model_id,
        family=family_of(run.config),
        limiter=RateLimiter(clock, None, None, learns=False),
        clock=clock,
        attempts=_ATTEMPTS,
        options=InvokeOptions(metadata=call_metadata(run.run_id, "canary")),
        until=clock.now() + _RETRY_SECONDS,
    )


@dataclass(frozen=True)
class _Reply:
    """The outcome of one record: its answer, or the error of its last call. The other is None.

    output: the answer as the model gave it
    """

    record: ShardLine
    answer: Answer | None = None
    error: InvokeError | None = None
    judgement: Judgement | None = None
    output: bytes | None = None

    @property
    def ended(self) -> str | None:
        """Return the outcome of the answer; None if there is none."""
        return None if self.judgement is None else self.judgement.ended

    @property
    def is_cut(self) -> bool:
        """Tell whether a higher limit of tokens may help."""
        judgement = self.judgement
        return judgement is not None and judgement.ended == TRUNCATED and not judgement.is_final

    @property
    def is_refused(self) -> bool:
        """Tell whether the model would refuse this body in a batch job, too."""
        return self.error is not None and not isinstance(self.error, InvokeRetryableError)


def _ask(caller: ModelCaller, record: ShardLine) -> _Reply:
    try:
        output = caller.ask(record.body)
    except InvokeError as exc:
        return _Reply(record, error=exc)
    judged = Judge(caller.family)(output)
    if judged.error is not None:
        return _Reply(record, error=_as_invoke_error(judged.error))
    answer = read_answer(output, caller.family)
    return _Reply(record, answer, judgement=judged, output=output)


def _ask_again(caller: ModelCaller, body: bytes) -> Probe | None:
    """Ask a record with another body; return None if the model does not answer."""
    try:
        output = caller.ask(body)
    except InvokeError:
        return None
    answer = read_answer(output, caller.family)
    is_cut = Judge(caller.family)(output).ended == TRUNCATED
    return Probe(is_cut, (answer.input_tokens or 0, answer.output_tokens or 0))


def _as_invoke_error(error: RecordError) -> InvokeError:
    """Return the error of a reply that is no answer: another error, or of a shape that is unknown.

    A batch job would get such replies, too.
    """
    kind = InvokeRetryableError if error.is_retryable else InvokeRecordError
    return kind(error.message or "", error_code=error.code, error_type="NoAnswer")


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
        truncated=sum(r.ended == TRUNCATED for r in replies),
        declined=sum(r.ended == REFUSED for r in replies),
        is_denied=any(isinstance(r.error, InvokeRefusedError) for r in replies),
    )


def _counted(canary: Canary) -> str:
    counts = {"truncated": canary.truncated, "declined": canary.declined}
    others = (f", {count:,} {name}" for name, count in counts.items() if count)
    return f"{canary.answered:,} answered{''.join(others)}"


def _grouped(failed: list[_Reply]) -> tuple[CanaryFailure, ...]:
    """Group the failed records by equal errors, the largest group first."""
    groups: dict[tuple[int | None, str, str], list[str]] = defaultdict(list)
    for reply in failed:
        error = reply.error
        assert error is not None
        message = redact(str(error), reply.record.body)
        groups[error.error_code, error.error_type or "", message].append(reply.record.recordId)
    failures = (
        CanaryFailure(len(record_ids), *error_key, tuple(record_ids))
        for error_key, record_ids in groups.items()
    )
    return tuple(sorted(failures, key=lambda failure: -failure.count))


def _is_refused(canary: Canary, config: CanaryConfig) -> bool:
    share = canary.error_share
    return canary.is_denied or share is None or share > config.max_error_share


def _refusal(canary: Canary, config: CanaryConfig) -> CanaryError:
    lines = "\n".join(f"  {_shown(failure)}" for failure in canary.failures)
    counts = {"asked": canary.asked, "refused": canary.refused}
    if canary.error_share is None:
        return CanaryError(
            f"canary: none of {canary.asked} records got an answer from {canary.model_id}, and no "
            f"batch job was submitted:\n{lines}\n  Run again later. {_advice()}",
            **counts,
        )
    return CanaryError(
        f"canary: {canary.refused} of {canary.asked} records were refused by {canary.model_id}, "
        f"and no batch job was submitted:\n{lines}\n  Correct the request or the rows, and begin a "
        f"new run with a new run_uri. If these rows are exceptions, raise canary.max_error_share "
        f"(it is {config.max_error_share:g})",
        **counts,
    )


def _shown(failure: CanaryFailure) -> str:
    ids = ", ".join(failure.record_ids[:_IDS_SHOWN])
    more = ", …" if failure.count > _IDS_SHOWN else ""
    error = f"{failure.error_code} {failure.error_type}: {failure.message}"
    return f"{failure.count} with {error} (records {ids}{more})"


def _advice() -> str:
    return f"{OTHER_ID}, or canary.records: 0"
