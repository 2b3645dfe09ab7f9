"""Measure how seconds and memory grow with ten times the rows.

Each measurement runs in its own process, so that each has its own peak of memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

from pyspark.sql import SparkSession

from common.figures import report
from common.memory import watched
from common.prepared import seconds
from common.spark_session import bench_session

TIMES = 10
SECONDS_GOAL, MEMORY_GOAL = 10.5, 1.1
_HEAP = "2g"

Work = Callable[[SparkSession], object]


def scale_run(warm_up: Work, work: Work) -> None:
    """Run a warm-up, then the measured work; print its seconds and peaks in MB for `scaled`."""
    with bench_session(_HEAP) as spark:
        warm_up(spark)
        with watched() as peaks:
            work_seconds = seconds(lambda: work(spark))
    figures = {
        "driver": peaks.driver_megabytes,
        "worker": peaks.worker_megabytes,
        "jvm": peaks.jvm_megabytes,
        "seconds": work_seconds,
    }
    sys.stdout.write(json.dumps(figures))


def scaled(script: str, *arguments: object) -> dict[str, float]:
    """Run a benchmark's `--scale-run` in a child process; return the figures that it prints."""
    child = subprocess.run(
        [sys.executable, script, "--scale-run", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(child.stdout.splitlines()[-1])
    return figures


def report_scale(stage: str, rows: int, once: dict[str, float], more: dict[str, float]) -> None:
    """Report the ratios of the figures with ten times the rows to those with the rows once."""
    report(
        f"{stage}_scale",
        more["seconds"] / once["seconds"],
        "ratio",
        SECONDS_GOAL,
        "lower",
        rows=[rows, rows * TIMES],
        seconds=[round(f["seconds"], 2) for f in (once, more)],
    )
    for process in ("driver", "worker"):
        report(
            f"{stage}_scale_{process}_memory",
            more[process] / once[process],
            "ratio",
            MEMORY_GOAL,
            "lower",
            megabytes=[round(f[process]) for f in (once, more)],
            jvm_megabytes=[round(f["jvm"]) for f in (once, more)],  # its heap is 2 GB at most
        )
