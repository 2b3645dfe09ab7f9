"""A fallback task is killed half way: only a bounded number of answers is paid for again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bedrock_emulator import LocalBedrock
from bedrock_spark.clock import SystemClock
from bedrock_spark.outputs.lines import OutputRecord, read_lines
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, digest_of_ids
from bedrock_spark.outputs.shard_outputs import outputs_digest
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.claims import open_round
from bedrock_spark.spark.fallback.answer_files import FLUSH_RECORDS
from bedrock_spark.storage import LocalStorage

from .kill_points import body_of
from .killed_fallback import CONCURRENCY, PREPARE_ID, ROUND, SHARD

RECORDS = 400
IDS = [f"{n:011d}" for n in range(RECORDS)]
ROOT = Path(__file__).parents[2]


def start_task(folder: Path, local: LocalBedrock) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.e2e.killed_fallback"),
            *(str(folder), local.endpoint_url, str(RECORDS), digest_of_ids(IDS)),
        ],
        cwd=ROOT,
        env=os.environ | local.environment(),
        stdout=subprocess.PIPE,
    )


def invocations(local: LocalBedrock) -> int:
    return int(local.usage()["totals"]["invocations"])


def write_run(folder: Path) -> LocalStorage:
    """Write a collected shard of 400 unanswered records, and open a round of the fallback."""
    storage = LocalStorage(str(folder))
    lines = [json.dumps({"recordId": i, "modelInput": body_of(i)}) + "\n" for i in IDS]
    storage.write(layout.shard_key(SHARD, PREPARE_ID), "".join(lines).encode())
    reconciled = ReconciledShard(
        unit=SHARD,
        unanswered_ids=tuple(IDS),
        unanswered_digest=digest_of_ids(IDS),
        outputs=outputs_digest(()),
    )
    storage.write(layout.reconciliation_key(SHARD), reconciled.to_json())
    open_round(storage, ROUND, SystemClock())
    return storage


@pytest.mark.long
def test_a_killed_task_pays_again_for_few_answers(
    tmp_path: Path, bedrock: Callable[..., LocalBedrock]
) -> None:
    """At most for its calls in flight and its unwritten answers; it asks no other record again."""
    local = bedrock({"thinking": {"least_seconds": 0.02, "most_seconds": 0.1}})
    storage = write_run(tmp_path)
    process = start_task(tmp_path, local)
    while invocations(local) < RECORDS // 2:
        assert process.poll() is None
    process.kill()
    process.wait()
    written = answers(storage)
    assert set(written.values()) == {1}

    second = start_task(tmp_path, local)
    output, _ = second.communicate()
    assert second.returncode == 0
    # No record is asked whose answer was written, and every other one is asked once.
    asked = json.loads(output)["asked"]
    assert asked == RECORDS - len(written)
    assert answers(storage) == Counter(IDS)
    # What is paid for again is what the killed task had paid for and not written.
    paid_again = local.usage()["paid_again"]
    assert paid_again["answers"] == invocations(local) - asked - len(written)
    assert paid_again["records"] == paid_again["answers"] <= FLUSH_RECORDS + CONCURRENCY


def answers(storage: LocalStorage) -> Counter[str]:
    """Return how many answers the folder has, by record."""
    return Counter(
        line.record_id
        for stored in storage.list(f"{layout.FALLBACK}/")
        for line in read_lines(storage.read(stored.key))
        if isinstance(line, OutputRecord) and line.error is None
    )


@pytest.mark.long
def test_two_attempts_at_once_call_the_model_once_per_record(
    tmp_path: Path, bedrock: Callable[..., LocalBedrock]
) -> None:
    """As Spark's speculation starts them, in two processes. Calls are counted, and answers."""
    local = bedrock({"thinking": {"least_seconds": 0.02, "most_seconds": 0.1}})
    write_run(tmp_path)
    first = start_task(tmp_path, local)
    while not invocations(local):
        assert first.poll() is None
    second = start_task(tmp_path, local)
    results = [json.loads(process.communicate()[0]) for process in (first, second)]
    assert [result["asked"] for result in results] == [RECORDS, RECORDS]
    assert invocations(local) == local.requests()["InvokeModel"] == RECORDS
