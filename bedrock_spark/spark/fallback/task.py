"""The work of a fallback's task: ask its stragglers with many calls in flight, keep what comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from bedrock_spark.aws.clients import AwsSettings, runtime_client
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.config import FallbackConfig
from bedrock_spark.costs.token_estimate import TokenEstimate
from bedrock_spark.errors import InvokeError, InvokeRefusedError
from bedrock_spark.families import family_by_name
from bedrock_spark.invoke.caller import ModelCaller, invoke_options
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.invoke.shared_limit import TaskRegistry, shared
from bedrock_spark.outputs.lines import OutputRecord, answer_line, error_line, read_lines
from bedrock_spark.run_folder import layout
from bedrock_spark.shards.lines import ShardLine, read_shard
from bedrock_spark.spark.collect.stage import read_reconciled
from bedrock_spark.spark.fallback.answer_files import AnswerFiles
from bedrock_spark.spark.fallback.parts import Part
from bedrock_spark.storage import Storage

# While calls are slow: how often it is looked whether answers are to be written.
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class FallbackTask:
    """Asks some stragglers; sent to executors.

    model_id: who is asked; longest_answer: tokens, where the request says so
    round_id, tasks: which round this is, and how many tasks it has
    until: a time after which nothing is begun
    """

    storage: Storage
    aws: AwsSettings
    config: FallbackConfig
    model_id: str
    family: str
    longest_answer: int | None
    round_id: str
    tasks: int = 1
    until: float | None = None

    def __call__(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Ask the stragglers; return how many were asked, and a refusal if any."""
        clock = SystemClock()
        config = self.config
        limiter = RateLimiter(clock, config.requests_per_minute, config.tokens_per_minute)
        answers = AnswerFiles(self.storage, clock)
        asking = _Asking(self._caller(limiter, clock), answers, config.concurrency, self.until)
        refused = None
        registry = TaskRegistry(self.storage, self.round_id, clock)
        with shared(limiter, registry, clock, self.tasks):
            try:
                asking.ask_all(self._to_ask(parts))
            except InvokeRefusedError as exc:
                refused = str(exc)
            finally:
                answers.flush()
        return {
            "asked": asking.asked,
            "throttled": limiter.throttled_calls,
            "refused": refused,
        }

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
            estimate=TokenEstimate(self.longest_answer),
            until=self.until,
        )

    def _to_ask(self, parts: Sequence[Part]) -> Iterator[tuple[str, ShardLine]]:
        """Yield every straggler that no earlier try of this task answered, shard by shard."""
        for part in parts:
            reconciled = read_reconciled(self.storage, part.shard_id)
            own = reconciled["unanswered_ids"][part.start : part.stop]
            known = set(reconciled.get("fallback_files", ()))
            wanted = set(own) - _answered_since(self.storage, part.shard_id, known)
            if not wanted:
                continue
            for record in read_shard(self.storage.read(layout.shard_key(part.shard_id))):
                if record.recordId in wanted:
                    yield part.shard_id, record


@dataclass
class _Asking:
    """Many calls in flight, and never more bodies in memory than calls."""

    caller: ModelCaller
    answers: AnswerFiles
    concurrency: int
    until: float | None
    asked: int = 0

    def ask_all(self, records: Iterable[tuple[str, ShardLine]]) -> None:
        """Ask each once; a refusal of all of them is raised."""
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
            done, running = wait(running, _LOOK_SECONDS, FIRST_COMPLETED)
            for future in done:
                future.result()
            self.answers.flush_if_due()
        return running

    def _ask_one(self, shard_id: str, record: ShardLine) -> None:
        """Ask for one record; whatever comes is kept. Only a refusal of all of them is raised."""
        body = record.body
        try:
            line = answer_line(record.recordId, body, self.caller.ask(body))
        except InvokeRefusedError:
            raise
        except InvokeError as exc:
            line = error_line(record.recordId, body, exc)
        self.answers.add(shard_id, line)


def _answered_since(storage: Storage, shard_id: str, known: set[str]) -> set[str]:
    """Return who was answered since the shard was collected, which knew these files."""
    answered: set[str] = set()
    for found in storage.list(layout.fallback_prefix(shard_id)):
        if found.key in known:
            continue
        for line in read_lines(storage.read(found.key)):
            if isinstance(line, OutputRecord) and line.error is None:
                answered.add(line.record_id)
    return answered
