"""Measure how much of its tokens per minute the fallback uses, and the overhead of a call.

Prints one JSON object per line: `{name, value, unit, goal, better, detail}`. The local Bedrock
enforces tokens per minute in a sliding window: a request counts with its longest possible answer
until it is answered. It takes 0.5 to 4 seconds per request.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from common.figures import report
from common.local_bedrock import use_local_credentials
from common.spark_session import bench_session
from pyspark.sql import SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark.aws.clients import AwsSettings, runtime_client
from bedrock_spark.clock import SystemClock
from bedrock_spark.config import parse_config
from bedrock_spark.families import family_by_name
from bedrock_spark.invoke.caller import ModelCaller
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.outputs.lines import answer_line
from bedrock_spark.outputs.reconciled_shard import (
    ReconciledShard,
    digest_of_ids,
    read_reconciled,
)
from bedrock_spark.outputs.shard_outputs import outputs_digest
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.spark.fallback.answer_files import AnswerFiles
from bedrock_spark.spark.fallback.stage import ask_unanswered
from bedrock_spark.storage import LocalStorage
from tests.models import CLAUDE, CLAUDE_MODEL

MODEL = CLAUDE
SHARDS = 4
PREPARE_ID = "0a1b2c3d4e5f"
PER_MINUTE = 60_000
UTILISATION_GOAL, THROTTLED_GOAL, OVERHEAD_GOAL = 0.95, 0.01, 1.5
PROMPT = (
    "Classify this ticket as bug, question or wish. Ticket {number}: since the update of last week "
    "the export of invoices stops after the first page, and the file that is written holds only "
    "the headings. It happens with every customer that has more than forty invoices in a month. "
    "We have cleared the cache, logged in again and tried another browser, without any change. "
) * 3


def body(number: int) -> bytes:
    """Return the body of a record."""
    content = [{"type": "text", "text": PROMPT.format(number=number)}]
    return json.dumps(
        {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": content}],
        }
    ).encode()


def unanswered_folder(folder: Path, endpoint: str, records: int, limit: int | None) -> Run:
    """Write a run folder whose shards are collected, with no record answered."""
    shutil.rmtree(folder, ignore_errors=True)
    config = parse_config(
        {
            "run_uri": str(folder),
            "model": {"id": MODEL},
            "request": {"prompt": "{{ body }}", "max_tokens": 100},
            "batch": {"role_arn": "arn:aws:iam::123456789012:role/x", "region": "us-east-1"},
            "fallback": {"model_id": MODEL, "tokens_per_minute": limit},
            "endpoint_url": endpoint,
        }
    )
    run = open_run(config, SystemClock())
    for n in range(SHARDS):
        ids = [f"{i:011d}" for i in range(n, records, SHARDS)]
        lines = [b'{"recordId":"%b","modelInput":%b}\n' % (i.encode(), body(int(i))) for i in ids]
        run.storage.write(layout.shard_key(shard_of(n), PREPARE_ID), b"".join(lines))
        reconciled = ReconciledShard(
            unit=shard_of(n),
            unanswered_ids=tuple(ids),
            unanswered_digest=digest_of_ids(ids),
            outputs=outputs_digest(()),
        )
        run.storage.write(f"reconciliation/{shard_of(n)}.json", reconciled.to_json())
    return run


def shard_of(number: int) -> str:
    return f"shard-{number:05d}-00"


def provisioned(local: LocalBedrock) -> str:
    """Create provisioned throughput, wait until it is in service, and return its ARN."""
    bedrock = local.client("bedrock")
    reply = bedrock.create_provisioned_model_throughput(
        provisionedModelName="bench", modelId=CLAUDE_MODEL, modelUnits=1
    )
    local.advance_clock(3_600)
    return str(reply["provisionedModelArn"])


def measure_utilisation(minutes: float, tasks: int, folder: Path, *, is_limit_known: bool) -> None:
    """Run a round of `tasks` tasks that should take `minutes` minutes; report its utilisation.

    is_limit_known: whether the config has the limit of tokens per minute
    """
    records = int(minutes * PER_MINUTE / tokens_per_record())
    faults = {
        "thinking": {"least_seconds": 0.5, "most_seconds": 4},
        "provisioned": {"tokens_per_minute_per_unit": PER_MINUTE},
    }
    with bench_session(cores=tasks) as spark, LocalBedrock(faults, speed=1.0) as local:
        arn = provisioned(local)
        run = unanswered_folder(
            folder, local.endpoint_url, records, PER_MINUTE if is_limit_known else None
        )
        warm_up(spark, tasks)
        counts = {shard_of(n): len(range(n, records, SHARDS)) for n in range(SHARDS)}
        digests = {s: read_reconciled(run.storage, s).unanswered_digest for s in counts}
        began = time.monotonic()
        asked = ask_unanswered(spark, run, PREPARE_ID, counts, arn, digests=digests)
        seconds = time.monotonic() - began
        totals = local.usage()["totals"]
    assert asked.records == records
    served = totals["invocation_input_tokens"] + totals["invocation_output_tokens"]
    calls = asked.records + asked.throttled
    suffix = "" if is_limit_known else "_limit_unknown"
    detail = {
        "tasks": tasks,
        "seconds": round(seconds, 1),
        "records": records,
        "tokens": served,
        "tokens_per_minute": PER_MINUTE,
    }
    report(
        f"fallback_utilisation{suffix}",
        served / (PER_MINUTE * seconds / 60),
        "share",
        UTILISATION_GOAL if is_limit_known else None,
        "higher",
        **detail,
    )
    report(
        f"fallback_throttled{suffix}",
        asked.throttled / calls,
        "share",
        THROTTLED_GOAL if is_limit_known else None,
        "lower",
        tasks=tasks,
        calls=calls,
    )


def warm_up(spark: SparkSession, tasks: int) -> None:
    """Start the Python workers: a real run has started them to collect."""
    spark.range(0, tasks, 1, tasks).mapInArrow(lambda batches: batches, "id long").collect()


def tokens_per_record() -> float:
    """Return the mean tokens of a record, measured with a local Bedrock without limits."""
    count = 200
    with LocalBedrock(speed=1.0) as local:
        client = local.client("bedrock-runtime")
        for n in range(count):
            client.invoke_model(modelId=MODEL, body=body(n))["body"].read()
        totals = local.usage()["totals"]
    return (totals["invocation_input_tokens"] + totals["invocation_output_tokens"]) / count


def measure_overhead(calls: int, folder: Path) -> None:
    """Compare the CPU time of a fallback call that stores its answer with that of a boto3 call."""
    threads = 8
    bodies = [body(n) for n in range(calls)]
    with LocalBedrock(speed=1.0) as local:
        aws = AwsSettings("us-east-1", local.endpoint_url)
        client = runtime_client(aws, 300, threads)
        clock = SystemClock()
        limiter = RateLimiter(clock, 10_000_000, 1_000_000_000)
        caller = ModelCaller(client, MODEL, family_by_name("anthropic"), limiter, clock, 5)
        answers = AnswerFiles(LocalStorage(str(folder)), clock)

        def bare(number: int) -> None:
            client.invoke_model(modelId=MODEL, body=bodies[number])["body"].read()

        def ours(number: int) -> None:
            output = caller.ask(bodies[number])
            answers.add("shard-00000-00", answer_line(f"{number:011d}", bodies[number], output))

        cpu = {"bare": 0.0, "ours": 0.0}
        with ThreadPoolExecutor(threads) as pool:
            for work in (bare, ours):
                list(pool.map(work, range(100)))
            # In turns, so that a slower machine slows both.
            for start in range(0, calls, 200):
                for name, work in (("bare", bare), ("ours", ours)):
                    began = time.process_time()
                    list(pool.map(work, range(start, min(start + 200, calls))))
                    cpu[name] += time.process_time() - began
        answers.flush()
    report(
        "fallback_overhead",
        cpu["ours"] / cpu["bare"],
        "ratio",
        OVERHEAD_GOAL,
        "lower",
        calls=calls,
        bare_ms=round(cpu["bare"] / calls * 1e3, 3),
        ours_ms=round(cpu["ours"] / calls * 1e3, 3),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="the duration of each round")
    parser.add_argument("--tasks", type=int, nargs="*", default=[2, 8])
    parser.add_argument("--calls", type=int, default=2_000, help="to measure the overhead")
    chosen: Any = parser.parse_args()
    use_local_credentials()
    with tempfile.TemporaryDirectory(prefix="bench-fallback-") as folder:
        measure_overhead(chosen.calls, Path(folder, "answers"))
        for tasks in chosen.tasks:
            measure_utilisation(
                chosen.minutes, tasks, Path(folder, f"run{tasks}"), is_limit_known=True
            )
        measure_utilisation(chosen.minutes, 2, Path(folder, "unknown"), is_limit_known=False)


if __name__ == "__main__":
    main()
