"""Keep the answers of a run: add them to the store of answers, sorted by hash, in a few files.

Only units whose reconciliation has changed since they were kept are read, so the stage can follow
every collect. One Spark action, and a shuffle of the answers of these units.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name

from bedrock_spark.answers.store import AnswersFile, begin_store, pin_files
from bedrock_spark.answers.table import BODY_HASH, FILE_BYTES
from bedrock_spark.config import AnswersConfig
from bedrock_spark.invoke.kept_calls import kept_outcomes
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.kept_note import KeptNote, read_kept_note, write_kept_note
from bedrock_spark.run_folder.run import Run
from bedrock_spark.spark.keep.task import ReadTask, WriteTask
from bedrock_spark.spark.prepare.shuffle import route
from bedrock_spark.spark.tasks import observed_tasks
from bedrock_spark.storage import Storage, open_storage

# A unit is read by a task of its own, up to this many tasks.
_MOST_TASKS = 1_000
_LABEL_DIGITS = 12
# Spark hands 10,000 rows to a task at once; 0 means any number. Of images or embeddings, these may
# be gigabytes: so a batch should have about _BATCH_BYTES. Results are compressed, at most to
# about one part in _COMPRESSED.
_BATCH_SETTING, _BATCH_DEFAULT = "spark.sql.execution.arrow.maxRecordsPerBatch", "10000"
_BATCH_BYTES, _COMPRESSED = 32_000_000, 8
# As SCHEMA in answers/table.py.
_COLUMNS = (
    f"{BODY_HASH} bigint, request_digest string, answered_at timestamp, outcome string, "
    "model_id string, run_id string, record_id string, served_by string, input_tokens bigint, "
    "output_tokens bigint, cost_usd double, model_output string"
)


def keep_answers(
    spark: SparkSession,
    run: Run,
    reconciled: Iterable[ReconciledShard],
    observe: Observer = ignore_progress,
) -> KeptNote | None:
    """Add the answers of a run to its store; return what of it is there. None without a store.

    Answers that came from a store are not added again. Runs one Spark action if there is something
    to add. A process that dies leaves whole files or none; the next one writes the same ones.
    """
    answers = run.config.answers
    if answers is None or not answers.is_written:
        return None
    outcomes = kept_outcomes(run.config)
    before = read_kept_note(run.storage, answers.uri)
    note = before.of_outcomes(outcomes)
    changed = [
        shard
        for shard in reconciled
        if any(shard.outcomes.get(outcome) for outcome in outcomes)
        and not layout.is_kept_unit(shard.unit)
        and note.units.get(shard.unit) != shard.fingerprint
    ]
    if not changed:
        return note
    new = {shard.unit: shard.fingerprint for shard in changed}
    rows = sum(shard.rows for shard in changed)
    # Of units that were kept before, only what is new is added.
    may_repeat = not before.units.keys().isdisjoint(new)
    written = _write(spark, run, answers, new, rows, outcomes, observe, may_repeat=may_repeat)
    note = replace(
        note,
        answers=note.answers + sum(written),
        files=note.files + len(written),
        units={**note.units, **new},
    )
    write_kept_note(run.storage, note)
    return note


def _write(
    spark: SparkSession,
    run: Run,
    answers: AnswersConfig,
    new: Mapping[str, str],
    result_rows: int,
    outcomes: tuple[str, ...],
    observe: Observer,
    *,
    may_repeat: bool,
) -> list[int]:
    """Write the answers of some units; return the number of answers of each file.

    result_rows: how many rows these units have
    may_repeat: whether some of their answers may be in the store already
    """
    store = open_storage(answers.uri, run.aws)
    begin_store(store)
    units = tuple(sorted(new))
    size = _bytes_of(run.storage, new)
    parts = max(1, math.ceil(size / FILE_BYTES))
    label = f"{run.run_id}-{_digest(new, outcomes)}"
    read = ReadTask(run.storage, units, run.config.results.prefix, outcomes)
    # The time is that of the run, not of this process: a repeated stage must write the same files.
    earlier: tuple[AnswersFile, ...] = ()
    if may_repeat:
        # Not what a killed process has written of these units: that is written once more.
        earlier = tuple(file for file in pin_files(store) if f"-{label}-" not in file.key)
    write = WriteTask(store, parts, run.begun_at or 0.0, label, run.run_id, earlier)
    tasks = min(len(units), _MOST_TASKS)
    rows = spark.range(0, len(units), 1, tasks).mapInArrow(read, _COLUMNS)
    if parts > 1:
        rows = rows.repartition(parts, route(F.col(BODY_HASH), parts))
    else:
        rows = rows.coalesce(1) if tasks == 1 else rows.repartition(1)
    ordered = rows.sortWithinPartitions(BODY_HASH, "request_digest", "record_id")
    with observed_tasks(spark, "keep", observe), _batches_of(spark, batch_rows(size, result_rows)):
        done = ordered.mapInArrow(write, "answers bigint").collect()
    return [row[0] for row in done]


def batch_rows(size: int, rows: int) -> int:
    """Return how many answers Spark should hand to a task at once.

    size: of the compressed results; rows: how many they are
    """
    return max(1, _BATCH_BYTES // max(1, _COMPRESSED * size // max(1, rows)))


@contextmanager
def _batches_of(spark: SparkSession, rows: int) -> Iterator[None]:
    """Let Spark make batches of at most `rows` rows during the block, or fewer if it does."""
    before = spark.conf.get(_BATCH_SETTING, _BATCH_DEFAULT) or _BATCH_DEFAULT
    if 0 < int(before) <= rows:
        yield
        return
    spark.conf.set(_BATCH_SETTING, rows)
    try:
        yield
    finally:
        spark.conf.set(_BATCH_SETTING, before)


def _bytes_of(storage: Storage, units: Mapping[str, str]) -> int:
    """Return the bytes of the results of some units: more than their answers will have."""
    (prefix, *_) = layout.unit_prefixes(layout.RESULTS)
    listed = storage.scan(prefix)
    return sum(stored.size for stored in listed if layout.unit_of(stored.key) in units)


def _digest(new: Mapping[str, str], outcomes: Iterable[str]) -> str:
    """Return a digest of what is written. Other answers must have files of another name."""
    text = json.dumps([sorted(new.items()), sorted(outcomes)])
    return hashlib.sha256(text.encode()).hexdigest()[:_LABEL_DIGITS]
