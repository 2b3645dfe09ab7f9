"""Fall back: ask the stragglers once more, one by one, of a model that answers at once.

A task takes the stragglers of a few shards. Answers are written every few records in Bedrock's own
line format below the shard's fallback folder, so a task that is killed pays again only for what it
had in flight, and collect reads them like any other output.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import SparkSession

from bedrock_spark import layout
from bedrock_spark.clients import AwsSettings, bedrock_client, runtime_client
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.config import FallbackConfig, ModelConfig
from bedrock_spark.errors import InvokeError, InvokeRefusedError, InvokeRetryableError
from bedrock_spark.families import family_of
from bedrock_spark.invoke import ModelCaller
from bedrock_spark.outputs import OutputRecord, read_lines
from bedrock_spark.progress import Observer, unobserved
from bedrock_spark.provisioned import is_provisioned, wait_for_provisioned
from bedrock_spark.rate_limit import RateLimiter
from bedrock_spark.run_folder import Run
from bedrock_spark.shard_lines import read_shard
from bedrock_spark.spark.collect import collected_files, straggler_ids
from bedrock_spark.spark.per_unit import run_per_unit
from bedrock_spark.spark.task_progress import classic_context, observed_tasks
from bedrock_spark.storage import Storage

# Answers are put into the run folder at least this often, counted in answers and in seconds.
_FLUSH_RECORDS = 100
_FLUSH_SECONDS = 5.0
# Spark Connect does not tell how many tasks run at once.
_DEFAULT_TASKS = 8


def fall_back(
    spark: SparkSession,
    run: Run,
    shard_ids: Iterable[str],
    clock: Clock,
    observe: Observer = unobserved,
) -> int:
    """Ask the stragglers of these collected shards; return how many were asked.

    Runs one Spark action. Raises ProvisionedModelError before anything is asked, InvokeRefusedError
    when the model would answer none. What single records get, answers or errors, is in the run
    folder; collect again to see it.
    """
    config = run.config.fallback
    shards = list(shard_ids)
    if config is None or not shards:
        return 0
    if is_provisioned(config.model_id):
        wait_for_provisioned(bedrock_client(run.aws), config.model_id, run.config.model, clock)
    groups = _groups(shards, _parallelism(spark))
    task = FallbackTask(run.storage, run.aws, run.config.model, config, len(groups))
    with observed_tasks(spark, "fallback", observe):
        done = run_per_unit(spark, groups, task)
    refused = [d["refused"] for d in done if d["refused"]]
    if refused:
        raise InvokeRefusedError(
            f"fallback.model_id {config.model_id}: {refused[0]} "
            "Check the id, its Region, and bedrock:InvokeModel on it"
        )
    return sum(d["asked"] for d in done)


def _groups(shards: list[str], tasks: int) -> list[tuple[str, ...]]:
    """Deal the shards out to at most so many tasks."""
    count = min(len(shards), tasks)
    return [tuple(shards[i::count]) for i in range(count)]


def _parallelism(spark: SparkSession) -> int:
    context = classic_context(spark)
    return max(1, int(context.defaultParallelism)) if context is not None else _DEFAULT_TASKS


@dataclass(frozen=True)
class FallbackTask:
    """The work on one group of shards; sent to executors. It gets its share of the rate limits."""

    storage: Storage
    aws: AwsSettings
    model: ModelConfig
    config: FallbackConfig
    tasks: int

    def __call__(self, shards: tuple[str, ...]) -> dict[str, Any]:
        """Ask the stragglers of the shards; return how many were asked, and a refusal if any."""
        clock = SystemClock()
        caller = self._caller(clock)
        asked = 0
        for shard in shards:
            answers = _AnswerFile(self.storage, shard, clock)
            try:
                asked += self._ask_shard(shard, caller, answers)
            except InvokeRefusedError as exc:
                return {"asked": asked, "refused": str(exc)}
            finally:
                answers.flush()
        return {"asked": asked, "refused": None}

    def _caller(self, clock: Clock) -> ModelCaller:
        config = self.config
        limiter = RateLimiter(
            clock,
            config.requests_per_minute and config.requests_per_minute / self.tasks,
            config.tokens_per_minute and config.tokens_per_minute / self.tasks,
        )
        client = runtime_client(self.aws, config.read_timeout_seconds, config.concurrency)
        family = family_of(self.model)
        return ModelCaller(client, config.model_id, family, limiter, clock, config.attempts)

    def _ask_shard(self, shard: str, caller: ModelCaller, answers: _AnswerFile) -> int:
        """Ask with many calls in flight, never more bodies in memory than calls."""
        asked = 0
        with ThreadPoolExecutor(self.config.concurrency) as pool:
            running: set[Future[None]] = set()
            try:
                for record_id, body in self._to_ask(shard):
                    if len(running) >= self.config.concurrency:
                        finished, running = wait(running, return_when=FIRST_COMPLETED)
                        _raise_first(finished)
                    running.add(pool.submit(_ask_one, caller, answers, record_id, body))
                    asked += 1
                _raise_first(wait(running).done)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return asked

    def _to_ask(self, shard: str) -> Iterator[tuple[str, bytes]]:
        """Yield the id and body of each straggler that no earlier try of this task answered."""
        known = collected_files(self.storage, shard)
        wanted = set(straggler_ids(self.storage, shard)) - self._answered(shard, known)
        if not wanted:
            return
        for record in read_shard(self.storage.read(layout.shard_key(shard))):
            if record.recordId in wanted:
                yield record.recordId, record.body

    def _answered(self, shard: str, known: set[str]) -> set[str]:
        """Return who was answered since the shard was collected, which knew these files."""
        answered: set[str] = set()
        files = [o.key for o in self.storage.list(layout.fallback_prefix(shard))]
        for key in files:
            if key in known:
                continue
            for line in read_lines(self.storage.read(key)):
                if isinstance(line, OutputRecord) and line.error is None:
                    answered.add(line.record_id)
        return answered


def _raise_first(finished: Iterable[Future[None]]) -> None:
    for future in finished:
        future.result()


def _ask_one(caller: ModelCaller, answers: _AnswerFile, record_id: str, body: bytes) -> None:
    """Ask for one record; whatever comes is written. Only a refusal of all of them is raised."""
    try:
        output = caller.ask(body)
    except InvokeRefusedError:
        raise
    except InvokeError as exc:
        answers.add(_error_line(record_id, body, exc))
        return
    answers.add(_line(record_id, body, b'"modelOutput":' + output))


def _error_line(record_id: str, body: bytes, exc: InvokeError) -> bytes:
    error = {
        "errorCode": exc.ids.get("error_code") or 500,
        "errorMessage": str(exc),
        "expired": False,
        "retryable": isinstance(exc, InvokeRetryableError),
    }
    return _line(record_id, body, b'"error":' + json.dumps(error, ensure_ascii=False).encode())


def _line(record_id: str, body: bytes, rest: bytes) -> bytes:
    return b'{"recordId":"%b","modelInput":%b,%b}\n' % (record_id.encode(), body, rest)


@dataclass
class _AnswerFile:
    """Answers on their way into the run folder, in objects that are never written twice."""

    storage: Storage
    shard: str
    clock: Clock
    _lines: list[bytes] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _flushed_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._flushed_at = self.clock.now()

    def add(self, line: bytes) -> None:
        """Take a line; write what has gathered when it is time."""
        with self._lock:
            self._lines.append(line)
            waited = self.clock.now() - self._flushed_at
            due = len(self._lines) >= _FLUSH_RECORDS or waited >= _FLUSH_SECONDS
            lines = self._taken() if due else []
        self._write(lines)

    def flush(self) -> None:
        """Write what has gathered."""
        with self._lock:
            lines = self._taken()
        self._write(lines)

    def _taken(self) -> list[bytes]:
        lines, self._lines = self._lines, []
        self._flushed_at = self.clock.now()
        return lines

    def _write(self, lines: list[bytes]) -> None:
        if lines:
            part = f"{int(self.clock.now() * 1000):015d}-{uuid.uuid4().hex[:8]}"
            self.storage.write(layout.fallback_key(self.shard, part), b"".join(lines))
