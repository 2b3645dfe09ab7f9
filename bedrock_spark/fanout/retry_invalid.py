"""Ask records again by batch whose answers do not fit `results.parse`: where a shard has enough.

What did not fit stands in the reconciliation that collect left. It is used only while it knows of
everything that came back for the shard since; else what is answered by now would be paid for again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.remainder import chosen_input
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import ExtraAttempt
from bedrock_spark.run_folder.run import Run


def requeue_invalid(controller: Controller) -> int:
    """Reopen the shards that have enough such records; return how many shards that are."""
    run, storage = controller.run, controller.run.storage
    parse = run.config.results.parse
    if parse is None or not parse.retries:
        return 0
    wanted: dict[str, ExtraAttempt] = {}
    for found in storage.list(f"{layout.RECONCILIATION}/"):
        collected = json.loads(storage.read(found.key))
        ids = collected.get("invalid_ids", ())
        shard = controller.tracker.shards.get(collected["unit"])
        if shard is None or len(ids) < run.config.shards.min_records:
            continue
        if not _is_up_to_date(controller, collected):
            continue
        latest = controller.tracker.latest(shard.shard_id)
        assert latest is not None
        made = chosen_input(storage, shard, latest.attempt + 1, ids)
        wanted[shard.shard_id] = ExtraAttempt(
            latest.attempt + 1, made.key, made.records, made.sha256
        )
    if wanted:
        controller.requeue(wanted)
    return len(wanted)


def _is_up_to_date(controller: Controller, collected: Mapping[str, Any]) -> bool:
    """Tell whether a reconciliation knows of the shard's last job, and of every later answer."""
    shard_id = collected["unit"]
    latest = controller.tracker.latest(shard_id)
    if latest is None or latest.seen is None or not controller.tracker.is_done(shard_id):
        return False
    job_id = latest.seen.job_arn.rsplit("/", 1)[-1]
    knows_job = any(job["job_id"] == job_id for job in collected.get("jobs", ()))
    return knows_job and set(collected.get("fallback_files", ())) == _answers(
        controller.run, shard_id
    )


def _answers(run: Run, shard_id: str) -> set[str]:
    return {found.key for found in run.storage.list(layout.fallback_prefix(shard_id))}
