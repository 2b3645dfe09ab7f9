"""The task of the fallback: ask records with many calls at a time, and keep the answers.

An attempt of the task claims it before it asks anything, and stops if it loses the claim. So two
attempts at once pay for no record twice, except for calls in flight and unwritten answers of an
attempt that died.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from bedrock_spark.answers.digest import guardrail_of
from bedrock_spark.aws.clients import AwsSettings, runtime_client
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.config import FallbackConfig
from bedrock_spark.costs.burndown import output_rate
from bedrock_spark.costs.call_use import CallUse, UseCounter
from bedrock_spark.costs.token_estimate import TokenEstimate
from bedrock_spark.errors import InvokeError, InvokeRefusedError
from bedrock_spark.families import family_by_name
from bedrock_spark.heartbeat import Renewal, kept
from bedrock_spark.invoke.caller import ModelCaller, invoke_options
from bedrock_spark.invoke.flex_tier import FlexTier
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.invoke.refusals import Refusal, Refusals, is_refusal
from bedrock_spark.invoke.shared_limit import TaskRegistry, share_limit
from bedrock_spark.outputs.fallback_times import note_of
from bedrock_spark.outputs.lines import answer_line, error_line
from bedrock_spark.prices import tier_paid
from bedrock_spark.run_folder.claims import CLAIM_SECONDS, TaskClaim
from bedrock_spark.shards.lines import ShardLine
from bedrock_spark.spark.fallback.answer_files import AnswerFiles
from bedrock_spark.spark.fallback.parts import Part, name_of
from bedrock_spark.spark.fallback.pending import PendingRecords
from bedrock_spark.storage import Storage, calls_at_once

# How often to check for answers to write while calls are slow.
_CHECK_SECONDS = 1.0


class TaskResult(msgspec.Struct, frozen=True):
    """The result of one task.

    asked: how many records it asked; throttled: how many calls met a 429
    refusal: the error because of which the model would answer no record, or None; refusal_code: the
        service's code of it
    changed: how many records it did not ask because their shard must be collected again
    answered: how many records the model answered
    refused: if it answered none, how many records it refused, by what their errors have in common;
        messages: one message for each of these
    is_stopped: whether the task asked no more records because too many were refused alike
    no_flex: what the service says of a model without the flex tier, None if it did not say so
    use: what its calls used
    """

    asked: int
    throttled: int
    refusal: str | None = None
    changed: int = 0
    answered: int = 0
    refused: dict[str, int] = {}
    messages: dict[str, str] = {}
    is_stopped: bool = False
    no_flex: str | None = None
    refusal_code: str | None = None
    use: CallUse = CallUse()


@dataclass(frozen=True)
class FallbackTask:
    """Asks some unanswered records; Spark sends it to the executors.

    max_answer_tokens: the request's limit of tokens per answer, or None
    run_id: of the run, for invocation logs; prepare_id: names the folder of the shards
    round_id, tasks: the id of this round, and how many tasks it has
    until: no call starts after this time, in seconds since the epoch; None for no limit
    has_answered: whether the model has answered a record in an earlier round
    uses_flex: whether calls go to the flex tier while it serves in time
    limit_path: the keys that lead to the limit of tokens in a body; () if it is never changed
    claim_seconds: how long a claim lasts if it is not renewed
    """

    storage: Storage
    aws: AwsSettings
    config: FallbackConfig
    model_id: str
    family: str
    max_answer_tokens: int | None
    run_id: str
    prepare_id: str
    round_id: str
    tasks: int = 1
    until: float | None = None
    has_answered: bool = False
    uses_flex: bool = False
    limit_path: tuple[str, ...] = ()
    claim_seconds: float = CLAIM_SECONDS
    clock: Clock = field(default_factory=SystemClock)
    monotonic: Callable[[], float] = time.monotonic

    def __call__(self, parts: Sequence[Part]) -> TaskResult:
        """Ask the unanswered records of some parts.

        If another attempt of the task is at work, wait for it; if it has ended, return its result.
        Raises RunHeldError if this attempt must not ask, or not go on: the round is over, or
        another attempt has taken over.
        """
        claim = TaskClaim(
            *(self.storage, self.round_id, name_of(parts), self.clock),
            *(self.claim_seconds, self.monotonic),
        )
        pending = PendingRecords(self.storage, self.prepare_id, parts, self.limit_path)
        with calls_at_once(self.storage) as calls:
            looking = calls.begin(pending.look, parts[0])
            result = claim.acquire()
        if result is not None:
            return msgspec.json.decode(result, type=TaskResult)
        if claim.is_new:
            # Nobody can have asked a record of the task before, or since.
            pending.first = looking
        with self._claimed(claim) as renewal, calls_at_once(self.storage) as calls:
            confirmed = calls.begin(claim.confirm)

            def check() -> None:
                confirmed.result()
                renewal.check()

            asked = self._ask(pending, check)
            check()
        claim.finish(msgspec.json.encode(asked).decode())
        return asked

    @contextmanager
    def _claimed(self, claim: TaskClaim) -> Iterator[Renewal]:
        """Renew a claim while the block runs; release it if that ends with an error."""
        name = "the claim on a task of the fallback"
        seconds = self.claim_seconds
        renewal = Renewal(name, claim.renew, seconds, monotonic=self.monotonic)
        try:
            with kept(f"renewing {name}", renewal, seconds / 4):
                yield renewal
        except BaseException:
            if not renewal.is_lost:
                claim.release()
            raise

    def _ask(self, pending: PendingRecords, check: Callable[[], None]) -> TaskResult:
        clock = self.clock
        config = self.config
        limiter = RateLimiter(clock, config.requests_per_minute, config.tokens_per_minute)
        answers = AnswerFiles(self.storage, clock)
        flex = FlexTier(clock, self.until) if self.uses_flex else None
        counter = UseCounter()
        caller = self._caller(limiter, clock, flex, counter)
        refusals = Refusals(self.has_answered)
        asker = _Asker(
            *(caller, config, answers, self.until),
            *(check, refusals, guardrail_of(config)),
        )
        refusal = refusal_code = None
        registry = TaskRegistry(
            self.storage, self.round_id, clock, lambda: counter.use(asker.asked)
        )
        with share_limit(limiter, registry, clock, self.tasks, is_alone=self.tasks == 1):
            try:
                asker.ask_all(pending)
            except InvokeRefusedError as exc:
                refusal, refusal_code = str(exc), exc.error_type
            finally:
                asker.keep(refusals.take_rest(), may_be_the_accounts=True)
                answers.flush()
        alike = {} if refusals.has_answered else dict(refusals.alike)
        return TaskResult(
            asker.asked,
            limiter.throttled_calls,
            refusal,
            pending.changed,
            refusals.answered,
            alike,
            refusals.messages if alike else {},
            refusals.is_hopeless,
            flex.refusal if flex is not None else None,
            refusal_code,
            counter.use(asker.asked),
        )

    def _caller(
        self, limiter: RateLimiter, clock: Clock, flex: FlexTier | None, counter: UseCounter
    ) -> ModelCaller:
        config = self.config
        return ModelCaller(
            client=runtime_client(self.aws, config.read_timeout_seconds, config.concurrency),
            model_id=self.model_id,
            family=family_by_name(self.family),
            limiter=limiter,
            clock=clock,
            attempts=config.attempts,
            options=invoke_options(config, self.run_id),
            estimate=TokenEstimate(self.max_answer_tokens, output_rate(self.model_id, self.family)),
            until=self.until,
            flex=flex,
            counter=counter,
        )


@dataclass
class _Asker:
    """Makes up to `concurrency` calls at a time; only the bodies of these calls are in memory.

    config: its `model_id` is noted; what is called may be throughput that was bought for it
    check: raises an error if no further call may be made
    refusals: tells refusals of the account from those of records
    guardrail: of the calls
    """

    caller: ModelCaller
    config: FallbackConfig
    answers: AnswerFiles
    until: float | None
    check: Callable[[], None]
    refusals: Refusals
    guardrail: dict[str, str] | None = None
    asked: int = 0

    def ask_all(self, records: Iterable[tuple[str, ShardLine, int | None]]) -> None:
        """Ask each record once; stop if many are refused alike and none is answered.

        records: with their shards, and their limits of tokens if those were raised
        Raises InvokeRefusedError if the model would answer no record.
        """
        running: set[Future[None]] = set()
        with ThreadPoolExecutor(self.config.concurrency) as pool:
            try:
                for shard_id, record, limit in records:
                    running = self._wait(running, fewer_than=self.config.concurrency)
                    self.check()
                    if self.until is not None and self.caller.clock.now() >= self.until:
                        break
                    if self.refusals.is_hopeless:
                        break
                    running.add(pool.submit(self._ask_one, shard_id, record, limit))
                    self.asked += 1
                self._wait(running, fewer_than=1)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _wait(self, running: set[Future[None]], fewer_than: int) -> set[Future[None]]:
        while len(running) >= fewer_than:
            done, running = wait(running, _CHECK_SECONDS, FIRST_COMPLETED)
            for future in done:
                future.result()
            self.answers.flush_if_due()
        return running

    def _ask_one(self, shard_id: str, record: ShardLine, limit: int | None) -> None:
        """Ask one record, and keep its answer or error. Only InvokeRefusedError is raised."""
        body = record.body
        try:
            answered = self.caller.answer(body, limit)
            note, tier = self._note(answered.seconds), tier_paid(self.config, answered.tier)
            line = answer_line(record.recordId, body, answered.output, tier, note)
        except InvokeRefusedError:
            raise
        except InvokeError as exc:
            may_be_all = is_refusal(exc, has_raised_limit=limit is not None)
            if may_be_all and not self.refusals.note(Refusal(shard_id, record, exc)):
                self.keep(self.refusals.take_surplus(), may_be_the_accounts=True)
                return
            line = error_line(record.recordId, body, exc, note=self._note())
        else:
            self.keep(self.refusals.note_answer(), may_be_the_accounts=False)
        self.answers.add(shard_id, line)

    def keep(self, refusals: Iterable[Refusal], *, may_be_the_accounts: bool) -> None:
        """Keep the errors of refusals that were held."""
        for each in refusals:
            record_id, body = each.record.recordId, each.record.body
            line = error_line(
                *(record_id, body, each.error),
                may_be_the_accounts=may_be_the_accounts,
                note=self._note(),
            )
            self.answers.add(each.shard_id, line)

    def _note(self, seconds: float | None = None) -> bytes:
        """Return the note of a call that has just ended; see `note_of`."""
        return note_of(self.config.model_id, self.caller.clock.now(), seconds, self.guardrail)
