"""A fallback task is killed half way: only a bounded number of answers is paid for again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bedrock_emulator import LocalBedrock
from bedrock_spark.outputs.lines import OutputRecord, read_lines
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.run_folder import layout
from bedrock_spark.spark.fallback.answer_files import FLUSH_RECORDS
from bedrock_spark.storage import LocalStorage

from .killed_fallback import CONCURRENCY, PREPARE_ID, SHARD

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
    body: dict[str, Any] = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 40,
        "messages": [{"role": "user", "content": "hello"}],
    }
    lines = [json.dumps({"recordId": i, "modelInput": body}) + "\n" for i in ids]
    storage.write(layout.shard_key(SHARD, PREPARE_ID), "".join(lines).encode())
    reconciled = ReconciledShard(unit=SHARD, unanswered_ids=tuple(ids))
    storage.write(layout.reconciliation_key(SHARD), reconciled.to_json())

    process = start_task(tmp_path, local)
    while invocations(local) < RECORDS // 2:
        assert process.poll() is None
    process.kill()
    process.wait()
    paid_before_the_kill = invocations(local)
    assert paid_before_the_kill < RECORDS

    second = start_task(tmp_path, local)
    output, _ = second.communicate()
    assert second.returncode == 0
    assert json.loads(output)["asked"] < RECORDS
    assert invocations(local) <= RECORDS + FLUSH_RECORDS + CONCURRENCY
    answered = Counter(
        line.record_id
        for stored in storage.list(f"{layout.FALLBACK}/")
        for line in read_lines(storage.read(stored.key))
        if isinstance(line, OutputRecord) and line.error is None
    )
    assert set(answered) == set(ids)
