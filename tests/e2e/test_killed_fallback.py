"""A fallback task is killed half way: only a bounded number of answers is paid for again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bedrock_emulator import LocalBedrock
from bedrock_spark.outputs.lines import OutputRecord, read_lines
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.run_folder import layout
from bedrock_spark.spark.fallback.answer_files import FLUSH_RECORDS
from bedrock_spark.storage import LocalStorage

from .kill_points import body_of
from .killed_fallback import CONCURRENCY, SHARD

RECORDS = 400
ROOT = Path(__file__).parents[2]


def start_task(folder: Path, local: LocalBedrock) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.e2e.killed_fallback"),
            *(str(folder), local.endpoint_url, str(RECORDS)),
        ],
        cwd=ROOT,
        env=os.environ | local.environment(),
        stdout=subprocess.PIPE,
    )


def invocations(local: LocalBedrock) -> int:
    return int(local.usage()["totals"]["invocations"])


def test_a_killed_task_pays_again_for_few_answers(
    tmp_path: Path, bedrock: Callable[..., LocalBedrock]
) -> None:
    """At most for its calls in flight and its unwritten answers; it asks no other record again."""
    local = bedrock({"thinking": {"least_seconds": 0.02, "most_seconds": 0.1}})
    storage = LocalStorage(str(tmp_path))
    ids = [f"{n:011d}" for n in range(RECORDS)]
    lines = [json.dumps({"recordId": i, "modelInput": body_of(i)}) + "\n" for i in ids]
    storage.write(layout.shard_key(SHARD), "".join(lines).encode())
    reconciled = ReconciledShard(unit=SHARD, unanswered_ids=tuple(ids))
    storage.write(layout.reconciliation_key(SHARD), reconciled.to_json())

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
    assert answers(storage) == Counter(ids)
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
