"""Prove that the driver and the executors share the run folder, before anything is done.

Executors may have other disks, other credentials and another network than the driver. Without a
proof, a run in a local folder would leave its shards on the disks of the executors, and executors
without credentials would be noticed after the source was read. So each side writes a small object
that the other side reads. Spark places a task on each executor that is free, so as many tasks as
executors reach them all. An executor that is busy all the time is not reached, and a line says so:
its work is not lost unnoticed, because prepare compares all files before it commits, and the other
stages begin by reading what the driver wrote.

One Spark action of a few tasks; none if Spark runs in one process on this machine.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from bedrock_spark.errors import (
    BedrockSparkError,
    ConfigError,
    StorageAccessError,
    StorageError,
)
from bedrock_spark.progress import ignore_progress
from bedrock_spark.run_folder import layout
from bedrock_spark.spark.errors import with_executor_advice
from bedrock_spark.spark.tasks import classic_context, observed_tasks, run_per_unit
from bedrock_spark.storage import LocalStorage, Storage

log = logging.getLogger(__name__)

_LOCAL = re.compile(r"local(\[[^\]]*\])?")
# In S3, all executors have the same rights as a rule, so a few of them are enough.
_MOST_IN_S3 = 16
# Over Spark Connect, and if the JVM may not be asked, the number of executors is unknown.
_TASKS_IF_UNKNOWN = 8
# A busy or new executor may get no task of the first rounds.
_ROUNDS = 3


class Probed(msgspec.Struct, frozen=True):
    """What one executor found.

    process: identifies the executor on its host; key: of the object that it wrote
    error: why it cannot use the run folder, None if it can; kind: the class of that error
    """

    host: str
    process: str
    key: str
    error: str | None = None
    kind: str = ""


@dataclass(frozen=True)
class _ProbeTask:
    """Reads the driver's object and writes one; Spark sends it to the executors."""

    storage: Storage
    probe_id: str
    token: bytes

    def __call__(self, unit: int) -> Probed:
        # Python's daemon is a child of the executor's JVM, one for each executor.
        host, process = socket.gethostname(), str(os.getppid())
        key = layout.probe_key(self.probe_id, secrets.token_hex(8))
        try:
            found = self.storage.read_if_present(layout.probe_key(self.probe_id, _DRIVER))
            if found != self.token:
                return Probed(host, process, key, "it is not there", _NOT_SHARED)
            self.storage.create(key, self.token)
        except BedrockSparkError as exc:
            return Probed(host, process, key, str(exc), type(exc).__name__)
        return Probed(host, process, key)


_DRIVER, _NOT_SHARED = "driver", "not shared"


def is_local(spark: SparkSession) -> bool:
    """Tell whether the tasks of Spark run in one process with the driver.

    `local-cluster[…]` has processes of its own. Over Spark Connect the answer is always no.
    """
    context = classic_context(spark)
    return context is not None and _LOCAL.fullmatch(str(context.master)) is not None


def check_shared(spark: SparkSession, storage: Storage) -> None:
    """Raise an error unless driver and executors can read what the other side wrote.

    Raises ConfigError if they see different folders, StorageAccessError or another StorageError if
    one of them may not use it. The message names the host.
    """
    if is_local(spark):
        return
    probe_id = layout.new_prepare_id()
    token = secrets.token_hex(16).encode()
    _forget_old(storage)
    try:
        storage.create(layout.probe_key(probe_id, _DRIVER), token)
        _prove(spark, storage, _ProbeTask(storage, probe_id, token))
    finally:
        _clean_up(storage, probe_id)


def _prove(spark: SparkSession, storage: Storage, task: _ProbeTask) -> None:
    is_folder = isinstance(storage, LocalStorage)
    seen: set[tuple[str, str]] = set()
    for _ in range(_ROUNDS):
        executors = count_executors(spark)
        tasks = executors or _TASKS_IF_UNKNOWN
        tasks = tasks if is_folder else min(tasks, _MOST_IN_S3)
        with observed_tasks(spark, "probe", ignore_progress):
            probed = run_per_unit(spark, range(tasks), task, Probed, "probe")
        _check(storage, task, probed)
        seen |= {(one.host, one.process) for one in probed}
        # Executors that have come meanwhile count, too.
        executors = count_executors(spark)
        if not is_folder or executors is None or len(seen) >= executors:
            break
    if is_folder:
        _say_what_is_proven(storage, seen, executors)


def _say_what_is_proven(
    storage: Storage, seen: set[tuple[str, str]], executors: int | None
) -> None:
    busy = max(0, (executors or 0) - len(seen))
    log.warning(
        "%s: is shared by the driver and %s executors (hosts: %s). %s that start later were not "
        "asked",
        storage.uri,
        len(seen),
        ", ".join(sorted({host for host, _ in seen})),
        f"{busy} executors that were busy and those" if busy else "Executors",
    )


def _check(storage: Storage, task: _ProbeTask, probed: Sequence[Probed]) -> None:
    for one in probed:
        if one.error is not None:
            raise _failure(storage, one)
        if storage.read_if_present(one.key) != task.token:
            raise _not_shared(storage, one.host)


def _failure(storage: Storage, one: Probed) -> BedrockSparkError:
    if one.kind == _NOT_SHARED:
        return _not_shared(storage, one.host)
    text = (
        f"run_uri: the executor on the host {one.host} cannot use the run folder, and the driver "
        f"can: {one.error}"
    )
    if one.kind == StorageAccessError.__name__:
        return StorageAccessError(with_executor_advice(text))
    return StorageError(text)


def _not_shared(storage: Storage, host: str) -> BedrockSparkError:
    remedy = (
        "use an s3:// run_uri, or a folder of a file system that all machines share"
        if isinstance(storage, LocalStorage)
        else "do they have the same endpoint (endpoint_url, AWS_ENDPOINT_URL)?"
    )
    return ConfigError(
        f"run_uri = {storage.uri!r}: the executor on the host {host} and the driver on the host "
        f"{socket.gethostname()} do not see each other's files there; {remedy}. Nothing was done"
    )


def count_executors(spark: SparkSession) -> int | None:
    """Return the number of executors that are alive; None if it is unknown."""
    context = classic_context(spark)
    if context is None:
        return None
    try:
        # The block managers: one for each executor, and the driver's.
        return max(1, int(context._jsc.sc().getExecutorMemoryStatus().size()) - 1)
    except (Py4JError, PySparkException, AttributeError):
        return None


def _forget_old(storage: Storage) -> None:
    """Delete what killed probes left, if that is much; a probe that runs needs its objects."""
    keys = [stored.key for stored in storage.list(f"{layout.PROBE}/")]
    if len(keys) > _MANY:
        storage.delete(keys)


_MANY = 1_000


def _clean_up(storage: Storage, probe_id: str) -> None:
    """Delete the objects of a probe. An error is only logged: they do no harm."""
    try:
        storage.delete([o.key for o in storage.list(layout.probe_key(probe_id, ""))])
    except StorageError as exc:
        log.warning("deleting the objects of a probe: %s", exc)
    if isinstance(storage, LocalStorage):
        folder = storage.root / layout.probe_key(probe_id, "")
        for empty in (folder, folder.parent, storage.root):
            with suppress(OSError):
                empty.rmdir()
