"""The task of the fallback: ask records with many calls at a time, and keep the answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import msgspec

from bedrock_spark.aws.clients import AwsSettings, runtime_client
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.config import FallbackConfig
from bedrock_spark.costs.token_estimate import TokenEstimate
from bedrock_spark.errors import InvokeError, InvokeRefusedError
from bedrock_spark.families import family_by_name
from bedrock_spark.invoke.caller import ModelCaller, invoke_options
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.invoke.shared_limit import TaskRegistry, share_limit
from bedrock_spark.outputs.lines import OutputRecord, answer_line, error_line, read_lines
from bedrock_spark.outputs.reconciled_shard import read_reconciled
from bedrock_spark.run_folder import layout
from bedrock_spark.shards.lines import ShardLine, read_shard
from bedrock_spark.spark.fallback.answer_files import AnswerFiles
from bedrock_spark.spark.fallback.parts import Part
from bedrock_spark.storage import Storage

# How often to check for answers to write while calls are slow.
_CHECK_SECONDS = 1.0


class TaskResult(msgspec.Struct, frozen=True):
    """The result of one task.

    asked: how many records it asked; throttled: how many calls met a 429
    refusal: the error because of which the model would answer no record, or None
    """

    asked: int
    throttled: int
    refusal: str | None = None


@dataclass(frozen=True)
class FallbackTask:
    """Asks some unanswered records; Spark sends it to the executors.

    max_answer_tokens: the request's limit of tokens per answer, or None
    prepare_id: names the folder of the shards
    round_id, tasks: the id of this round, and how many tasks it has
    until: no call starts after this time, in seconds since the epoch; None for no limit
    """

    storage: Storage
    aws: AwsSettings
    config: FallbackConfig
    model_id: str
    family: str
    max_answer_tokens: int | None
    prepare_id: str
    round_id: str
    tasks: int = 1
    until: float | None = None

    def __call__(self, parts: Sequence[Part]) -> TaskResult:
        """Ask the unanswered records of some parts."""
        clock = SystemClock()
        config = self.config
        limiter = RateLimiter(clock, config.requests_per_minute, config.tokens_per_minute)
        answers = AnswerFiles(self.storage, clock)
        asker = _Asker(self._caller(limiter, clock), answers, config.concurrency, self.until)
        refusal = None
        registry = TaskRegistry(self.storage, self.round_id, clock)
        with share_limit(limiter, registry, clock, self.tasks):
            try:
                asker.ask_all(self._to_ask(parts))
            except InvokeRefusedError as exc:
                refusal = str(exc)
            finally:
                answers.flush()
        return TaskResult(asker.asked, limiter.throttled_calls, refusal)

    def _caller(self, limiter: RateLimiter, clock: Clock) -> ModelCaller:
        config = self.config
        return ModelCaller(
            client=runtime_client(self.aws, config.read_timeout_seconds, config.concurrency),
            model_id=self.model_id,
            family=family_by_name(self.family),
            limiter=limiter,
            clock=clock,
            attempts=config.attempts,
            options=invoke_options(config),
            estimate=TokenEstimate(self.max_answer_tokens),
            until=self.until,
        )

    def _to_ask(self, parts: Sequence[Part]) -> Iterator[tuple[str, ShardLine]]:
        """Yield every record that no earlier attempt of this task answered, shard by shard."""
        for part in parts:
            reconciled = read_reconciled(self.storage, part.shard_id)
            own = reconciled.unanswered_ids[part.start : part.stop]
            collected = set(reconciled.fallback_files)
            to_ask = set(own) - _answered_since(self.storage, part.shard_id, collected)
            if not to_ask:
                continue
            for record in read_shard(
                self.storage.read(layout.shard_key(part.shard_id, self.prepare_id))
            ):
                if record.recordId in to_ask:
                    yield part.shard_id, record


@dataclass
class _Asker:
    """Makes up to `concurrency` calls at a time; only the bodies of these calls are in memory."""

    caller: ModelCaller
    answers: AnswerFiles
    concurrency: int
    until: float | None
    asked: int = 0

    def ask_all(self, records: Iterable[tuple[str, ShardLine]]) -> None:
        """Ask each record once. Raises InvokeRefusedError if the model would answer no record."""
        running: set[Future[None]] = set()
        with ThreadPoolExecutor(self.concurrency) as pool:
            try:
                for shard_id, record in records:
                    running = self._wait(running, fewer_than=self.concurrency)
                    if self.until is not None and self.caller.clock.now() >= self.until:
                        break
                    running.add(pool.submit(self._ask_one, shard_id, record))
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

    def _ask_one(self, shard_id: str, record: ShardLine) -> None:
        """Ask one record, and keep its answer or error. Only InvokeRefusedError is raised."""
        body = record.body
        try:
            line = answer_line(record.recordId, body, self.caller.ask(body))
        except InvokeRefusedError:
            raise
        except InvokeError as exc:
            line = error_line(record.recordId, body, exc)
        self.answers.add(shard_id, line)


def _answered_since(storage: Storage, shard_id: str, collected: set[str]) -> set[str]:
    """Return the ids of the records with an answer in files that collect has not read.

    collected: the keys of the files that collect has read
    """
    answered: set[str] = set()
    for stored in storage.list(layout.fallback_prefix(shard_id)):
        if stored.key in collected:
            continue
        for line in read_lines(storage.read(stored.key)):
            if isinstance(line, OutputRecord) and line.error is None:
                answered.add(line.record_id)
    return answered
