"""A task of the fallback, killed half way: what is paid for again is bounded."""

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
from bedrock_spark.spark.fallback.answer_files import FLUSH_RECORDS
from bedrock_spark.storage import LocalStorage

from .killed_fallback import CONCURRENCY, SHARD

RECORDS = 400
ROOT = Path(__file__).parents[2]


def started(folder: Path, local: LocalBedrock) -> subprocess.Popen[bytes]:
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


def test_a_killed_task_pays_again_for_what_was_in_flight(
    tmp_path: Path, bedrock: Callable[..., LocalBedrock]
) -> None:
    """And for what came since the last writing; who was answered is not asked again."""
    local = bedrock({"thinking": {"least_seconds": 0.02, "most_seconds": 0.1}})
    storage = LocalStorage(str(tmp_path))
    ids = [f"{n:011d}" for n in range(RECORDS)]
    body: dict[str, Any] = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 40,
        "messages": [{"role": "user", "content": "hello"}],
    }
    lines = [json.dumps({"recordId": i, "modelInput": body}) + "\n" for i in ids]
    storage.write(f"shards/{SHARD}.jsonl", "".join(lines).encode())
    collected = {"unanswered_ids": ids, "fallback_files": []}
    storage.write(f"reconciliation/{SHARD}.json", json.dumps(collected).encode())

    process = started(tmp_path, local)
    while invocations(local) < RECORDS // 2:
        assert process.poll() is None
    process.kill()
    process.wait()
    paid_before_the_kill = invocations(local)
    assert paid_before_the_kill < RECORDS

    second = started(tmp_path, local)
    told, _ = second.communicate()
    assert second.returncode == 0
    assert json.loads(told)["asked"] < RECORDS
    assert invocations(local) <= RECORDS + FLUSH_RECORDS + CONCURRENCY
    answered = Counter(
        line.record_id
        for found in storage.list("fallback/")
        for line in read_lines(storage.read(found.key))
        if isinstance(line, OutputRecord) and line.error is None
    )
    assert set(answered) == set(ids)
