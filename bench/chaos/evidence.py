"""Gather what the judge needs from the run folder and the local Bedrock."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bedrock_emulator import LocalBedrock
from bedrock_spark.errors import BedrockSparkError
from bedrock_spark.run_folder.ledger import Job, Ledger
from bedrock_spark.run_folder.purchases import open_purchase
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage, Storage
from bench.chaos.judge import Evidence, ResultRow

_RESULTS, _LEDGER = "results/", "ledger/"
# Folders of objects that no finished run needs.
_TEMPORARY = ("tasks/", "claims/")
_SETTLED = {"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"}


def gather(
    run: Run,
    local: LocalBedrock,
    keys: Sequence[str],
    expected: Mapping[str, str | None],
    unwritten: int = 0,
    leftovers: Sequence[str] = (),
    results: Sequence[ResultRow] | None = None,
) -> Evidence:
    """Return the evidence about a finished run, the only one of its local Bedrock.

    leftovers: temporary files of its processes; results: the published ones, if it publishes
    """
    usage, errors = local.usage(), local.errors()
    again = usage.get("paid_again")
    return Evidence(
        keys=keys,
        results=read_results(run.storage) if results is None else results,
        expected=expected,
        paid={job: list(ids) for job, ids in usage["records"].items()},
        undelivered=usage["undelivered"],
        calls=usage["totals"]["invocations"],
        paid_again=None if again is None else int(again["answers"]),
        lost_replies=sum(n for name, n in errors.items() if _is_lost_reply(name)),
        unwritten=unwritten,
        left_behind=[*leftovers, *_temporary_objects(run.storage, local)],
        units=_units(local),
        ledger=list(_ledger_problems(run.storage, local)),
    )


def read_results(storage: Storage) -> list[ResultRow]:
    """Return all result rows in a run folder."""
    rows: list[ResultRow] = []
    for stored in storage.list(_RESULTS):
        if stored.key.endswith(".parquet"):
            rows += rows_of(pq.read_table(io.BytesIO(storage.read(stored.key))).to_pylist())
    return rows


def rows_of(values: Sequence[dict[str, Any]]) -> list[ResultRow]:
    """Return result rows from their columns."""
    return [
        ResultRow(v["id"], v["record_id"], v["outcome"], v["served_by"], v["text"]) for v in values
    ]


def _is_lost_reply(name: str) -> bool:
    operation, _, code = name.partition(" ")
    return operation in ("InvokeModel", "Converse") and code == "dropped connection"


def _temporary_objects(storage: Storage, local: LocalBedrock) -> list[str]:
    left = [stored.key for folder in _TEMPORARY for stored in storage.list(folder)]
    if open_purchase(storage) is not None:
        left.append("a purchase of model units that is not known to be over")
    s3 = local.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        uploads = s3.list_multipart_uploads(Bucket=bucket["Name"]).get("Uploads", [])
        left += [f"multipart upload of {upload['Key']}" for upload in uploads]
    return left


def _units(local: LocalBedrock) -> list[str]:
    reply = local.client("bedrock").list_provisioned_model_throughputs()
    return [str(unit["provisionedModelName"]) for unit in reply["provisionedModelSummaries"]]


def _ledger_problems(storage: Storage, local: LocalBedrock) -> Iterator[str]:
    """Replay the ledger, with its snapshots and without; compare it with the service."""
    try:
        jobs = Ledger(storage).replay()
        with tempfile.TemporaryDirectory() as folder:
            bare = LocalStorage(str(Path(folder)))
            for stored in storage.list(_LEDGER):
                bare.write(stored.key, storage.read(stored.key))
            if Ledger(bare).replay() != jobs:
                yield "it replays to other jobs without its snapshots"
    except BedrockSparkError as exc:
        yield f"it does not replay: {exc}"
        return
    for summary in _listed_jobs(local):
        job: Job | None = jobs.get(summary["jobName"])
        name, status = summary["jobName"], summary["status"]
        if job is None:
            yield f"it does not know {name}"
        elif status not in _SETTLED:
            yield f"{name} still runs: {status}"
        elif job.seen is None or job.seen.status != status:
            yield f"{name} is {status}, the ledger says {job.seen and job.seen.status}"


def _listed_jobs(local: LocalBedrock) -> Iterator[dict[str, Any]]:
    pages = local.client("bedrock").get_paginator("list_model_invocation_jobs").paginate()
    for page in pages:
        yield from page["invocationJobSummaries"]
