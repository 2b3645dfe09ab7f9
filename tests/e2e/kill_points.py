"""Control a run's batch jobs without Spark, and die by SIGKILL at a chosen call.

A call counts if it changes something or lists jobs. The process dies before the call is sent, or
after its reply arrived. A fork server imports this module once and forks a process for each
controller, so that controllers start at once.
"""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.httpsession import URLLib3Session

from bedrock_spark.aws.clients import AwsSettings, bedrock_client, s3_client
from bedrock_spark.config import Config, parse_config
from bedrock_spark.fanout import leased_controller, stop_run, watch
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import STOP
from bedrock_spark.run_folder.manifest import RunManifest, Shard, manifest_json, read_manifest
from bedrock_spark.run_folder.run import Run, begin_run
from bedrock_spark.storage import S3Storage
from tests.forked_emulator import BUCKET
from tests.models import CLAUDE as CLAUDE

ENDPOINT = "KILL_POINTS_ENDPOINT"
ROLE = "arn:aws:iam::123456789012:role/BedrockBatchInference"
RECORDS = (24, 12)
PREPARE_ID = "0a1b2c3d4e5f"
# Longer than any job takes: after a sleep, every job that was submitted before it has settled.
STEP_SECONDS = 7200.0


class EmulatedClock:
    """A clock that only `sleep` moves; each sleep also advances the emulator's clock.

    step: seconds to advance the emulator's clock at each sleep; None: as many as the sleep has
    """

    def __init__(self, endpoint_url: str, step: float | None = STEP_SECONDS) -> None:
        self._url = f"{endpoint_url}/_emulator/clock/advance"
        self._time = 1_800_000_000.0
        self._step = step

    def now(self) -> float:
        return self._time

    def sleep(self, seconds: float) -> None:
        self._time += seconds
        data = json.dumps({"seconds": self._step or seconds}).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(urllib.request.Request(self._url, data=data, method="POST"), timeout=60).read()


def config_of(name: str, batch: dict[str, Any], **sections: Any) -> Config:
    return parse_config(
        {
            "run_uri": f"s3://{BUCKET}/{name}",
            "model": {"id": CLAUDE},
            "request": {"prompt": "{{ body }}", "max_tokens": 40},
            "shards": {"max_records": 100, "min_records": 10},
            "batch": {"role_arn": ROLE, "region": "us-east-1", **batch},
            **sections,
        }
    )


def run_of(name: str, endpoint_url: str) -> Run:
    aws = AwsSettings("us-east-1", endpoint_url)
    config = config_of(name, {"poll_seconds": 10, "attempts": 3, "max_active_jobs": 20})
    return Run(name, config, S3Storage(f"s3://{BUCKET}/{name}", aws), aws)


def body_of(record_id: str) -> dict[str, Any]:
    """Return a body that no other record has: the emulator knows records by their bodies."""
    return {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 40,
        "messages": [{"role": "user", "content": f"Question {record_id}"}],
    }


def write_run(run: Run, sizes: tuple[int, ...] = RECORDS, files: int = 1) -> RunManifest:
    """Write a prepared run into its folder; no other run has its records.

    sizes: the number of records of each shard
    files: how many files each shard has
    """
    import hashlib

    shards = []
    for i, records in enumerate(sizes):
        ids = [f"{run.run_id}{i:02d}{n:03d}" for n in range(records)]
        lines = [json.dumps({"recordId": r, "modelInput": body_of(r)}) + "\n" for r in ids]
        size = -(-records // files)
        parts = ["".join(lines[n : n + size]).encode() for n in range(0, records, size)]
        data = b"".join(parts)
        shard_id = layout.shard_id(i, 0)
        digest = hashlib.sha256(data).hexdigest()
        of_files = tuple(map(len, parts)) if files > 1 else ()
        shards.append(Shard(shard_id, records, len(data), digest, 0, PREPARE_ID, of_files))
        for key, part in zip(shards[-1].sizes, parts, strict=True):
            run.storage.write(key, part)
    manifest = RunManifest(run.run_id, sum(sizes), "a INT", tuple(shards), (), PREPARE_ID)
    begin_run(run)
    run.storage.write(layout.MANIFEST_FILE, manifest_json(manifest))
    return manifest


def control_run(
    name: str,
    endpoint_url: str,
    stop_first: bool,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Control a run until it is done.

    stop_first: stop the run after one step, call `on_stop` right before that, and resume it then
    """
    run, clock = run_of(name, endpoint_url), EmulatedClock(endpoint_url)
    manifest = read_manifest(run.storage)
    assert manifest is not None
    if stop_first:
        with leased_controller(run, manifest, clock) as controller:
            controller.advance()
        on_stop()
        with leased_controller(run, manifest, clock, purpose=STOP) as controller:
            stop_run(controller)
    with leased_controller(run, manifest, clock) as controller:
        controller.resume()
        assert watch(controller).is_done


def control_run_and_die(
    name: str, endpoint_url: str, stop_first: bool, number: int, when: str
) -> None:
    """Control a run, and die before or after call number `number`, as `when` says.

    number: 0 dies nowhere. Then `when` is the path of a file to write: how many calls came before
    the stop, and how many there were.
    """
    points = points_before_stop = 0
    original_send = URLLib3Session.send

    def send_or_die(self: Any, request: Any) -> Any:
        nonlocal points
        is_point = request.method != "GET" or "model-invocation-job" in request.url
        points += is_point
        if is_point and points == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        reply = original_send(self, request)
        if is_point and points == number and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return reply

    def note_points() -> None:
        nonlocal points_before_stop
        points_before_stop = points

    URLLib3Session.send = send_or_die
    control_run(name, endpoint_url, stop_first, note_points)
    if number == 0:
        Path(when).write_text(f"{points_before_stop} {points}")


if ENDPOINT in os.environ:  # in the fork server: make the clients once, for all of its children
    aws = AwsSettings("us-east-1", os.environ[ENDPOINT])
    bedrock_client(aws)
    s3_client(aws)
