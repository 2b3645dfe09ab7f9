"""Write a run folder whose batch jobs have all ended: rows, output lines, output manifests."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.clock import SystemClock
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from bedrock_spark.schema import ROW_RECORD_ID
from common.prepared import PROMPT, bench_config

SHARD_ROWS = 40_000
PREPARE_ID = "0a1b2c3d4e5f"
# With answers of this length an output line has about 1.8 kB: 600,000 lines are 1.1 GB.
_ANSWER_WORDS = 60
_ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/"
_COLUMNS = "`record_id` string, `ticket_id` string, `subject` string"


class CollectFolder:
    """A run folder whose jobs have ended. `line_bytes`: the bytes of all its output lines."""

    def __init__(self, corpus: Path, folder: Path, rows: int) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.folder = folder
        self.rows = rows
        self.jobs: dict[str, Job] = {}
        self.line_bytes = 0
        self.run: Run = begin_run(open_run(bench_config(corpus, folder), SystemClock()))
        tickets = pq.read_table(corpus).slice(0, rows)
        starts = range(0, rows, SHARD_ROWS)
        shards = [self._write(n, tickets.slice(s, SHARD_ROWS)) for n, s in enumerate(starts)]
        columns = _COLUMNS.partition(", ")[2]
        manifest = RunManifest(self.run.run_id, rows, columns, tuple(shards), (), PREPARE_ID)
        self.manifest = commit_manifest(self.run.storage, manifest)

    def forget(self) -> None:
        """Delete the files that collect wrote."""
        for name in ("results", "reconciliation"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _write(self, number: int, tickets: pa.Table) -> Shard:
        shard = f"shard-{number:05d}-00"
        ids = [f"{ticket[2:]:0>11}" for ticket in tickets["ticket_id"].to_pylist()]
        self._write_rows(shard, tickets, ids)
        lines = [_line(i, body) for i, body in zip(ids, tickets["body"].to_pylist(), strict=True)]
        random.Random(number).shuffle(lines)
        output = self.folder / "output" / shard / "a1-bench" / f"job{number:09d}"
        output.mkdir(parents=True)
        data = b"".join(lines)
        (output / f"{shard}.jsonl.out").write_bytes(data)
        counts = {"successRecordCount": len(ids), "errorRecordCount": 0}
        (output / "manifest.json.out").write_text(json.dumps(counts))
        seen = SeenJob(_ARN + output.name, shard, "t", "Completed", succeeded=len(ids), failed=0)
        self.jobs[shard] = Job(shard, 1, shard, "t", seen)
        self.line_bytes += len(data)
        return Shard(shard, len(ids), len(data), "0" * 64, prepare_id=PREPARE_ID)

    def _write_rows(self, shard: str, tickets: pa.Table, ids: list[str]) -> None:
        path = self.folder / layout.rows_key(shard, PREPARE_ID)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = tickets.select(["ticket_id", "subject"]).add_column(0, ROW_RECORD_ID, pa.array(ids))
        pq.write_table(rows, path, compression="zstd")


def _line(record_id: str, body: str) -> bytes:
    prompt = [{"role": "user", "content": [{"type": "text", "text": PROMPT + body}]}]
    answer = " ".join(body.split()[:_ANSWER_WORDS])
    record = {
        "modelInput": {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 64,
            "messages": prompt,
        },
        "modelOutput": {
            "id": f"msg_bdrk_{record_id}",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5-20251001",
            "content": [{"type": "text", "text": answer}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": len(body) // 4, "output_tokens": len(answer) // 4},
        },
        "recordId": record_id,
    }
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
