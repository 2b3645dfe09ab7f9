"""Write a run folder of many small shards whose batch jobs have ended; count the calls to it.

Shards have 20 records. All but those that are `real` are links to the files of the first shard:
nothing reads them, they are only listed.
"""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config, parse_config
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import Run
from bedrock_spark.schema import ROW_RECORD_ID
from bedrock_spark.storage import LocalStorage, StoredObject
from tests.models import CLAUDE

RECORDS, MAX_TOKENS = 20, 40
PREPARE_ID = "0a1b2c3d4e5f"
RUN_ID = "bench-abcdefgh"
ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/"
SUBMITTED_AT = 1_800_000_000.0
# The most keys that one call of ListObjectsV2 returns.
_PAGE = 1_000


class CountedStorage(LocalStorage):
    """A local folder that counts the calls which S3 would get from this process."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.calls = 0

    def read_if_present(self, key: str) -> bytes | None:
        self.calls += 1
        return super().read_if_present(key)

    def write(self, key: str, data: bytes) -> str:
        self.calls += 1
        return super().write(key, data)

    def create(self, key: str, data: bytes) -> None:
        self.calls += 1
        super().create(key, data)

    def scan(self, prefix: str) -> Iterator[StoredObject]:
        self.calls += 1
        for number, stored in enumerate(super().scan(prefix)):
            self.calls += number > 0 and number % _PAGE == 0
            yield stored


def shard_name(number: int) -> str:
    return layout.shard_id(number, 0)


def bench_run(folder: Path) -> Run:
    """Return the run. Its storage counts calls."""
    storage = CountedStorage(str(folder))
    return Run(RUN_ID, _config(folder), storage, AwsSettings("us-east-1"), SUBMITTED_AT)


def _config(folder: Path) -> Config:
    return parse_config(
        {
            "run_uri": str(folder),
            "model": {"id": CLAUDE},
            "request": {"prompt": "{{ body }}", "max_tokens": MAX_TOKENS},
            "shards": {"max_records": RECORDS, "min_records": RECORDS},
            "batch": {"role_arn": "arn:aws:iam::123456789012:role/bench", "region": "us-east-1"},
            "results": {"model_output": "drop"},
        }
    )


def manifest_of(shards: int) -> RunManifest:
    """Return the run manifest of `shards` shards."""
    made = (
        Shard(shard_name(n), RECORDS, 4_000, f"{n:064x}", prepare_id=PREPARE_ID)
        for n in range(shards)
    )
    return RunManifest(RUN_ID, shards * RECORDS, "`body` string", tuple(made), (), PREPARE_ID)


def seen_job(number: int) -> SeenJob:
    """Return the finished job of a shard, as listings show it."""
    return SeenJob(
        *(f"{ARN}{number:012d}", f"{RUN_ID}-{number:06d}-a1", f"{number:064x}", "Completed", None),
        *(RECORDS, RECORDS, RECORDS, 0, SUBMITTED_AT, SUBMITTED_AT + 600.0),
    )


def jobs_of(shards: int) -> dict[str, Job]:
    """Return the finished jobs of all shards, by name."""
    seen = map(seen_job, range(shards))
    jobs = (
        Job(shard_name(n), 1, job.job_name, job.token or "", job, announced_at=SUBMITTED_AT)
        for n, job in enumerate(seen)
    )
    return {job.job_name: job for job in jobs}


def write_prepared(folder: Path, shards: int) -> None:
    """Write what the tasks of prepare leave: the lines and the rows of all shards."""
    pattern = folder / "pattern"
    folder.mkdir(parents=True, exist_ok=True)
    pattern.write_bytes(b"x" * 4_000)
    for key in (layout.shard_key, layout.rows_key, layout.index_key):
        _link_all(pattern, folder, [key(shard_name(n), PREPARE_ID) for n in range(shards)])


def write_outputs(folder: Path, shards: int, real: Collection[int]) -> None:
    """Write the output of all jobs, and the rows of the shards that are `real`."""
    first = [folder / key for key in _output_keys(0)]
    _write_outputs(folder, 0)
    for n in real:
        _write_rows(folder, n)
        _write_outputs(folder, n)
    others = [n for n in range(shards) if n and n not in real]
    for path, position in zip(first, (0, 1), strict=True):
        _link_all(path, folder, [_output_keys(n)[position] for n in others])


def change(folder: Path, number: int) -> None:
    """Write the output lines of a shard once more: a newer version of the same."""
    path = folder / _output_keys(number)[0]
    data = path.read_bytes()
    path.unlink()  # other shards may have a link to it
    path.write_bytes(data + b"\n")


def _output_keys(number: int) -> tuple[str, str]:
    shard = shard_name(number)
    job = f"{layout.attempt_prefix(shard, 1, '0f')}{number:012d}"
    return f"{job}/{shard}.jsonl.out", f"{job}/{layout.OUTPUT_MANIFEST_FILE}"


def _write_outputs(folder: Path, number: int) -> None:
    lines, manifest = (folder / key for key in _output_keys(number))
    lines.parent.mkdir(parents=True, exist_ok=True)
    lines.write_text("".join(json.dumps(_answer(i)) + "\n" for i in _ids(number)))
    manifest.write_text(json.dumps({"successRecordCount": RECORDS, "errorRecordCount": 0}))


def _write_rows(folder: Path, number: int) -> None:
    sink = io.BytesIO()
    rows = {ROW_RECORD_ID: _ids(number), "body": ["a question"] * RECORDS}
    pq.write_table(pa.table(rows), sink)
    path = folder / layout.rows_key(shard_name(number), PREPARE_ID)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sink.getvalue())


def _ids(number: int) -> list[str]:
    return [f"{number:07d}{n:04d}" for n in range(RECORDS)]


def _answer(record_id: str) -> dict[str, Any]:
    usage = {"input_tokens": 9, "output_tokens": 2}
    content = [{"type": "text", "text": "an answer"}]
    output = {"type": "message", "content": content, "stop_reason": "end_turn", "usage": usage}
    return {"recordId": record_id, "modelInput": {}, "modelOutput": output}


def _link_all(pattern: Path, folder: Path, keys: Collection[str]) -> None:
    made: set[str] = set()
    linked = str(pattern)
    for key in keys:
        path = f"{folder}/{key}"
        parent = path.rpartition("/")[0]
        if parent not in made:
            os.makedirs(parent, exist_ok=True)  # noqa: PTH103 - there are very many
            made.add(parent)
        try:
            os.link(linked, path)
        except OSError as exc:
            if exc.errno != errno.EMLINK:
                raise
            # A file of ext4 has at most 65,000 links: the next ones are to a copy.
            shutil.copy2(linked, path)
            linked = path


def write_collected(folder: Path, rows: Collection[tuple[str, bytes]]) -> dict[str, str]:
    """Write the objects that collect leaves of each unit; return the version of each one.

    rows: each unit, with its reconciliation
    """
    storage = LocalStorage(str(folder))
    pattern = folder / "pattern"
    pattern.parent.mkdir(parents=True, exist_ok=True)
    pattern.write_bytes(b"x")
    _link_all(pattern, folder, [layout.results_key(unit) for unit, _ in rows])
    return {unit: storage.write(layout.reconciliation_key(unit), data) for unit, data in rows}
