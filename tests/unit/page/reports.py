"""Reports as report.json holds them, made by the report's own code."""

from __future__ import annotations

import heapq
import random
from typing import Any

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.report import Ending, Failure, build_report, totals_of
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.ledger import Job, JobTokens
from bedrock_spark.run_folder.manifest import RejectedRows, RunManifest, Shard
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import make_config

# 2026-03-14 09:00 UTC.
BEGUN = 1_773_478_800.0
HOSTILE = "<script>alert('row')</script>"


def job(number: int, begins: float, seconds: float, status: str = "Completed", **seen: Any) -> Job:
    """Return a job that began and ended after BEGUN by these seconds."""
    counts = {"processed": 400, "succeeded": 396, "failed": 4, **seen}
    times = {"submitted_at": BEGUN + begins, "ended_at": BEGUN + begins + seconds}
    if status == "InProgress":
        times["ended_at"] = None
    shown = SeenJob(f"arn:{number}", f"j{number}", "t", status, **times, **counts)
    name = f"shard-{number:05d}-00"
    return Job(
        name, 1, f"j{number}", "t", shown, tokens=JobTokens(60_000, 8_000), known_at=BEGUN + begins
    )


def jobs_of(count: int, slots: int, seed: int = 3) -> dict[str, Job]:
    """Return jobs that keep this many slots busy."""
    draw = random.Random(seed)
    free = [30.0 * slot for slot in range(slots)]  # a heap: when each slot is free again
    jobs = []
    for number in range(count):
        seconds = draw.uniform(900, 2_400)
        status = draw.choices(("Completed", "PartiallyCompleted", "Failed"), (40, 3, 1))[0]
        jobs.append(job(number, free[0], seconds, status))
        heapq.heapreplace(free, free[0] + seconds + draw.uniform(20, 90))
    return {each.job_name: each for each in jobs}


def report_json(
    folder: str, jobs: dict[str, Job] | None = None, ending: Ending | None = None
) -> dict[str, Any]:
    """Return the report of a run in which everything happened, with hostile texts in it."""
    jobs = jobs if jobs is not None else jobs_of(26, 4)
    units = [
        ReconciledShard(
            unit="shard-00000-00",
            rows=10_400,
            outcomes={"ok": 9_871, "error": 212, "truncated": 187, "invalid": 96, "refused": 34},
            served_by={"batch": 9_302, "fallback": 569},
            stop_reasons={"end_turn": 9_971, "max_tokens": 187, HOSTILE: 12},
            tokens={"input": 1_560_223, "output": 201_377, "cache_read": 51_201},
            manifest_tokens={"input": 1_560_001, "output": 201_003, "images": 0},
            fallback_models=(
                ModelUse("m", "standard", 380, {"input": 81_122, "output": 10_001}),
                ModelUse("m", "flex", 189, {"input": 7_001, "output": 1_376}),
                ModelUse(HOSTILE, "standard", 11, {"input": 1_001, "output": 77}),
            ),
            unanswered=121,
            reasons=(
                Reason("error", 400, f"Malformed input: {HOSTILE}", 171, "a1b2c3d4e5f60718"),
                Reason("truncated", None, "max_tokens", 187, "0f1e2d3c4b5a6978"),
                Reason("error", 429, "Too many requests", 41, "99aa88bb77cc66dd"),
            ),
            other_reasons=13,
            lengths={"5": 310, "7": 1_544, "10": 3_377, "15": 2_602, "20": 1_377, "30": 601},
            labels={"label": {"billing": 4_411, "refund": 3_017, "bug": 1_888, HOSTILE: 555}},
            fallback_minutes={str(int(BEGUN // 60) + 235 + m): 47 + m for m in range(11)},
            latency={"300": 29, "500": 188, "700": 211, "1000": 94, "1500": 33, "2000": 14},
        ),
        ReconciledShard(
            unit="rejects-00000",
            rows=57,
            outcomes={"rejected": 57},
            reasons=(Reason("rejected", None, "body: is null", 57),),
        ),
    ]
    manifest = RunManifest(
        "tickets-7d3k2a9x",
        10_457,
        "a INT",
        (Shard("shard-00000-00", 10_089, 1, "x", sharing=311),),
        (RejectedRows(0, 57),),
    )
    config = make_config(
        prices={
            "source": "none",
            "batch": {"input": "0.0005", "output": "0.0025"},
            "fallback": {"input": "0.001", "output": "0.005"},
            "earlier": {HOSTILE: {"input": "0.002", "output": "0.007"}},
        },
        fallback={"model_id": "m"},
        request={"prompt": "Secret prompt {{ body }}", "max_tokens": 64},
    )
    run = Run(
        "tickets-7d3k2a9x", config, LocalStorage(folder), AwsSettings("us-east-1"), begun_at=BEGUN
    )
    counts = {"asked": 5, "answered": 5, "refused": 0, "line_bytes": 900}
    tries = (Canary("m", 0.0, **counts, input_tokens=750, output_tokens=101),)
    ending = ending or Ending("unfinished", "report", at=BEGUN + 15_120)
    seconds = {"prepare": 41.237, "batch": 13_377.1, "collect": 61.25, "fallback": 611.5}
    totals = totals_of(manifest, units)
    return build_report(run, manifest, jobs, totals, seconds, ending, tries).as_json()


FAILED = Ending(
    "failed", "fallback", Failure("BudgetError", f"{HOSTILE}: the budget is spent"), BEGUN + 15_120
)
