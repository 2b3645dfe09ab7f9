"""Measure how fast the local Bedrock answers, and its peak memory with a large job.

Prints one JSON object per line: `{name, value, unit, goal, better, detail}`. The emulator runs on
one core, if the system can pin it, and this program on the others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from bedrock_emulator import LocalBedrock
from tests.models import CLAUDE

MODEL = CLAUDE
REQUESTS = 2_000
CLIENTS = 8
RECORDS = 100_000
PROMPT = (
    "Classify this ticket as bug, question or wish. Ticket {number}: since the update of last week "
    "the export of invoices stops after the first page, and the file that is written holds only "
    "the headings. It happens with every customer that has more than forty invoices in a month. "
    "We have cleared the cache, logged in again and tried another browser, without any change."
)


def report(name: str, value: float, unit: str, goal: float, better: str, **detail: object) -> None:
    """Print one measurement."""
    line = {"name": name, "value": round(value, 1), "unit": unit, "goal": goal}
    sys.stdout.write(json.dumps({**line, "better": better, "detail": detail}) + "\n")
    sys.stdout.flush()


def body(number: int) -> dict[str, Any]:
    return {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": PROMPT.format(number=number)}],
    }


def pin(pid: int | None) -> int | None:
    """Pin a process to the last core; return the core, None if the system cannot pin."""
    if pid is None or not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(pid))
    os.sched_setaffinity(pid, {core})
    return core


def peak_megabytes(pid: int | None) -> float:
    """Return the peak resident size of a process; without /proc, its present size."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    process = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(process.stdout) / 1024


def cpu_seconds(pid: int | None) -> float:
    """Return the processor time that a process has used; 0 without /proc."""
    path = Path(f"/proc/{pid}/stat")
    if not path.exists():
        return 0.0
    fields = path.read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_requests(local: LocalBedrock) -> None:
    """Call InvokeModel from several clients at once, without an SDK, which would be slower."""
    endpoint = urlsplit(local.endpoint_url)
    latencies: list[float] = []

    def work(client: int) -> None:
        for number in range(client, REQUESTS, CLIENTS):
            started = time.monotonic()
            connection = HTTPConnection(str(endpoint.hostname), endpoint.port or 80)
            connection.request("POST", f"/model/{MODEL}/invoke", json.dumps(body(number)))
            reply = connection.getresponse()
            reply.read()
            connection.close()
            if reply.status != 200:
                raise RuntimeError(f"status {reply.status}")
            latencies.append(time.monotonic() - started)

    started, cpu = time.monotonic(), cpu_seconds(local.pid)
    threads = [threading.Thread(target=work, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(latencies) != REQUESTS:
        raise RuntimeError(f"{len(latencies)} of {REQUESTS} requests were answered")
    rate = REQUESTS / (time.monotonic() - started)
    p99 = sorted(latencies)[int(len(latencies) * 0.99)]
    report(
        "emulator_requests_per_second",
        rate,
        "requests/s",
        200,
        "higher",
        operation="InvokeModel",
        clients=CLIENTS,
        p99_ms=round(p99 * 1000, 1),
        # What another load on the machine changes least.
        cpu_ms_per_request=round((cpu_seconds(local.pid) - cpu) / REQUESTS * 1000, 2),
    )


def measure_job(local: LocalBedrock, folder: Path) -> None:
    """Run one job of RECORDS records; input and output go through S3, by boto3."""
    source, target = folder / "in.jsonl", folder / "out.jsonl"
    with source.open("w", encoding="utf-8") as out:
        for number in range(RECORDS):
            out.write(json.dumps({"recordId": f"R{number:010d}", "modelInput": body(number)}))
            out.write("\n")
    s3, bedrock = local.client("s3"), local.client("bedrock")
    s3.create_bucket(Bucket="bench")
    idle = peak_megabytes(local.pid)
    started = time.monotonic()
    s3.upload_file(str(source), "bench", "in.jsonl")
    uploaded = time.monotonic()
    arn = bedrock.create_model_invocation_job(
        jobName="bench",
        roleArn="arn:aws:iam::123456789012:role/bench",
        modelId=MODEL,
        inputDataConfig={"s3InputDataConfig": {"s3Uri": "s3://bench/in.jsonl"}},
        outputDataConfig={"s3OutputDataConfig": {"s3Uri": "s3://bench/out/"}},
    )["jobArn"]
    local.advance_clock(24 * 3600)
    ended = time.monotonic()
    job = bedrock.get_model_invocation_job(jobIdentifier=arn)
    if job["status"] != "Completed" or job["successRecordCount"] != RECORDS:
        raise RuntimeError(f"the job ended {job['status']}")
    peak = peak_megabytes(local.pid)
    s3.download_file("bench", f"out/{arn[-12:]}/in.jsonl.out", str(target))
    detail = {
        "records": RECORDS,
        "input_megabytes": round(source.stat().st_size / 1e6, 1),
        "output_megabytes": round(target.stat().st_size / 1e6, 1),
        "idle_megabytes": round(idle, 1),
        "peak_before_download_megabytes": round(peak, 1),
        "upload_seconds": round(uploaded - started, 1),
        "job_seconds": round(ended - uploaded, 1),
    }
    report(
        "emulator_large_job_peak_memory", peak_megabytes(local.pid), "MB", 500, "lower", **detail
    )
    report("emulator_records_per_second", RECORDS / (ended - uploaded), "records/s", 2000, "higher")


def main() -> None:
    """Measure requests and a job, each in a new emulator."""
    import tempfile

    with LocalBedrock(speed=0) as local:
        pin(local.pid)
        measure_requests(local)
    quotas = {"quotas": {"max_records": RECORDS}}
    with LocalBedrock(quotas, speed=0) as local, tempfile.TemporaryDirectory() as folder:
        pin(local.pid)
        measure_job(local, Path(folder))


if __name__ == "__main__":
    main()
