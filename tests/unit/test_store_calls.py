"""The calls to the store that each stage makes for a small run, one by one.

A call that is added is noticed here: it costs every run the latency of its store, and a call that
waits for another one costs it once more. Calls that two stages share are read once and passed on.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import FallbackConfig, ResultsConfig
from bedrock_spark.invoke.caller import Answered
from bedrock_spark.report import Ending, Reporter
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder import run as run_module
from bedrock_spark.run_folder.claims import close_round, open_round
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.ledger.events import Resumed
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.run import Run, begin_run, open_run, record_config
from bedrock_spark.spark.collect.changed import ChangedUnits
from bedrock_spark.spark.collect.task import CollectTask, ShardWork
from bedrock_spark.spark.fallback.parts import split_into_parts
from bedrock_spark.spark.fallback.task import FallbackTask
from bedrock_spark.spark.prepare import stage
from bedrock_spark.spark.result_schema import result_columns_of
from bedrock_spark.storage import LocalStorage
from tests.unit.collect_shard import LINES_KEY, PREPARE_ID, SHARD, collect_shard
from tests.unit.fakes import FakeClock, make_config

ROUND = "round"
# Periodic calls: nothing waits for them.
_PERIODIC = ("counting the tasks", "renewing")


class CountedStorage:
    """A local folder as a store far away: calls are made at once, and noted in `calls`."""

    def __init__(self, storage: LocalStorage) -> None:
        self.uri = storage.uri
        self.calls: list[str] = []
        self._storage = storage
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)

        def call(key: Any, *arguments: Any) -> Any:
            if not threading.current_thread().name.startswith(_PERIODIC):
                keys = [key] if isinstance(key, str) else key
                with self._lock:
                    self.calls += [f"{name} {_shown(each)}" for each in keys[:1]]
            return method(key, *arguments)

        return call


def _shown(key: str) -> str:
    """Leave out what is random in a key."""
    return re.sub(r"\d{15}-[0-9a-f]{8}|[0-9a-f]{32}", "*", key)


class SmallRun:
    """A run of one shard of three records, whose storage counts calls."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.clock = folder, FakeClock()
        self.local = LocalStorage(str(folder))
        self.storage: Any = CountedStorage(self.local)
        monkeypatch.setattr(run_module, "open_storage", lambda *_: self.storage)
        monkeypatch.setattr(FallbackTask, "_caller", lambda *_: Model(self.clock))
        shard = Shard(SHARD, 3, 10, "0" * 64, prepare_id=PREPARE_ID)
        self.manifest = RunManifest("r", 3, "n INT", (shard,), (), PREPARE_ID)
        self.digest = ""

    def open(self) -> Run:
        config = make_config(str(self.path), fallback={"model_id": "anthropic.x"})
        return open_run(config, self.clock)

    def prepare(self) -> Run:
        run = begin_run(self.open())
        self.local.write(layout.shard_key(SHARD, PREPARE_ID), b"0123456789")
        self.local.write(layout.rows_key(SHARD, PREPARE_ID), b"rows")
        return run

    def commit(self) -> Run:
        run = self.prepare()
        commit_manifest(self.local, self.manifest)
        Ledger(self.local).append([Resumed(1.0)])
        Ledger(self.local).append([Resumed(2.0)])
        return run

    def collect(self) -> CollectTask:
        """Collect the shard, of which one record of three is answered."""
        lines = b"".join(b'{"recordId":"%s","modelInput":{}}\n' % i for i in (b"a", b"b", b"c"))
        self.local.write(layout.shard_key(SHARD, PREPARE_ID), lines)
        answer = b'{"recordId":"a","modelOutput":{"content":[{"type":"text","text":"x"}]}}\n'
        reconciled, _ = collect_shard(str(self.path), "abc", {LINES_KEY: answer})
        self.digest = reconciled.unanswered_digest
        columns = result_columns_of(ResultsConfig())
        return CollectTask(self.storage, "anthropic", columns, PREPARE_ID)

    def fallback_task(self) -> FallbackTask:
        self.collect()
        open_round(self.local, ROUND, self.clock)
        config = FallbackConfig(model_id="m", concurrency=4)
        return FallbackTask(
            *(self.storage, AwsSettings("us-east-1"), config, "m", "raw", 40),
            *("run-1", PREPARE_ID, ROUND),
            clock=self.clock,
            monotonic=self.clock.now,
        )


class Model:
    """Answers every record."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def answer(self, body: bytes, limit: int | None = None) -> Answered:
        return Answered(b'{"a":1}', None)


def open_new(small: SmallRun) -> Callable[[], object]:
    return small.open


def begin_new(small: SmallRun) -> Callable[[], object]:
    run = small.open()
    return lambda: begin_run(run)


def commit_prepare(small: SmallRun) -> Callable[[], object]:
    run = small.prepare()

    def commit() -> None:
        unnamed = stage._check_before_commit(run, small.manifest)
        stage._commit(run, small.manifest, unnamed, lambda _: None)

    return commit


def open_again(small: SmallRun) -> Callable[[], object]:
    small.commit()
    return small.open


def read_ledger(small: SmallRun) -> Callable[[], object]:
    small.commit()
    return Ledger(small.storage).load


def note_config(small: SmallRun) -> Callable[[], object]:
    run = small.commit()
    return lambda: record_config(run, 1.0)


def find_changed(small: SmallRun) -> Callable[[], object]:
    task = small.collect()
    return lambda: list(ChangedUnits(task, small.manifest, {}))


def collect_one(small: SmallRun) -> Callable[[], object]:
    task = replace(small.collect(), rules="others")
    work = ShardWork(SHARD, None, (), tuple(small.local.list("output/")))
    return lambda: task(work)


def ask_one(small: SmallRun) -> Callable[[], object]:
    task = small.fallback_task()
    (parts,) = split_into_parts({SHARD: 2}, 1, digests={SHARD: small.digest})
    return lambda: task(parts)


def begin_round(small: SmallRun) -> Callable[[], object]:
    return lambda: open_round(small.storage, ROUND, small.clock)


def end_round(small: SmallRun) -> Callable[[], object]:
    open_round(small.local, ROUND, small.clock)
    small.local.write(layout.claim_key(ROUND, "0" * 32), b"{}")
    return lambda: close_round(small.storage, ROUND)


def write_report(small: SmallRun) -> Callable[[], object]:
    run = small.commit()
    return lambda: Reporter(small.clock).write(run, Ending())


OPEN = [
    *(
        f"read_if_present {name}.json"
        for name in ("run", "cleaned", "manifest", "prices", "stages")
    ),
    "scan ledger/",
]
LEDGER = [
    *("list snapshots/", "scan ledger/"),
    *("read ledger/000000001.jsonl", "read ledger/000000002.jsonl"),
]
JOB_OUTPUT = f"output/{SHARD}/a1-abc/job1/{SHARD}.jsonl.out"
CALLS: list[tuple[Callable[[SmallRun], Callable[[], object]], list[str]]] = [
    (open_new, OPEN),
    (begin_new, ["replace run.json", "replace prices.json"]),
    (
        commit_prepare,
        [
            "read_if_present run.json",
            *(f"scan {folder}/" for folder in ("shards", "index", "rows", "rejects", "kept")),
            "create manifest.json",
        ],
    ),
    (open_again, OPEN),
    (read_ledger, LEDGER),
    (note_config, ["read_if_present run.json", "list config/", "read_version prices.json"]),
    (
        find_changed,
        [
            *("scan fallback/", "scan output/"),
            *("read_if_present reconciliation.jsonl.gz", "scan reconciliation/"),
            *(f"scan results/{kind}-" for kind in ("shard", "rejects")),
            *(f"scan deadletters/{kind}-" for kind in ("shard", "rejects")),
        ],
    ),
    (
        collect_one,
        [
            *(f"read_if_present {name}.json" for name in ("cleaned", f"reconciliation/{SHARD}")),
            f"fetch rows/{PREPARE_ID}/{SHARD}.parquet",
            f"read_range {JOB_OUTPUT}",
            *(f"writer {folder}/{SHARD}.parquet" for folder in ("results", "deadletters")),
            f"write reconciliation/{SHARD}.json",
        ],
    ),
    (begin_round, ["list claims/", "list tasks/", "write claims/round/round"]),
    (
        ask_one,
        [
            *("replace claims/round/*.json", "read_if_present claims/round/round"),
            f"read reconciliation/{SHARD}.json",
            f"read_if_present index/{PREPARE_ID}/{SHARD}.idx",
            *(f"list {folder}/{SHARD}/" for folder in ("output", "fallback")),
            f"read_range shards/{PREPARE_ID}/{SHARD}.jsonl",
            f"write fallback/{SHARD}/*.jsonl.out",
            "replace claims/round/*.json",
        ],
    ),
    (
        end_round,
        [
            *("list claims/round/", "list tasks/round/"),
            *("delete claims/round/round", "delete claims/round/*.json"),
        ],
    ),
    (
        write_report,
        [
            *("read_if_present manifest.json", "list provisioned/", *LEDGER),
            *("read_if_present canary.json", "read_if_present report.json"),
            *("write report.json", "write report.html"),
        ],
    ),
]


@pytest.mark.parametrize(("stage_of", "calls"), CALLS)
def test_a_stage_makes_these_calls_and_no_others(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage_of: Callable[[SmallRun], Callable[[], object]],
    calls: list[str],
) -> None:
    """None is made twice, but those that must look before and after a write."""
    small = SmallRun(tmp_path, monkeypatch)
    run_stage = stage_of(small)
    small.storage.calls.clear()
    run_stage()
    assert sorted(small.storage.calls) == sorted(calls)


def test_a_task_of_the_fallback_that_is_alone_waits_for_nobody_to_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With others, it sends a heartbeat and counts them before its first call, and says its end."""
    small = SmallRun(tmp_path, monkeypatch)
    task = replace(small.fallback_task(), tasks=2)
    (parts,) = split_into_parts({SHARD: 2}, 1, digests={SHARD: small.digest})
    task(parts)
    seen = [call for call in small.storage.calls if " tasks/" in call]
    assert seen[:2] == [f"write {_TASK}", "list tasks/round/"]
    assert sorted(seen[2:]) == [f"delete {_TASK}", "write tasks/round/ended"]


_TASK = "tasks/round/*"
