"""What ten times the rows cost, in seconds and in memory.

Each measure is taken in a process of its own, so that each has its own peak of memory.
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
    """Work once to warm up, once for the clock; print seconds and peaks for `scaled`."""
    with bench_session(_HEAP) as spark:
        warm_up(spark)
        with watched() as peaks:
            taken = seconds(lambda: work(spark))
    found = {
        "driver": peaks.driver_megabytes,
        "worker": peaks.worker_megabytes,
        "jvm": peaks.jvm_megabytes,
        "seconds": taken,
    }
    sys.stdout.write(json.dumps(found))


def scaled(script: str, *arguments: object) -> dict[str, float]:
    """Return what the `--scale-run` of a benchmark prints, as a process of its own."""
    done = subprocess.run(
        [sys.executable, script, "--scale-run", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def report_scale(stage: str, rows: int, once: dict[str, float], more: dict[str, float]) -> None:
    """Compare ten times the rows with once the rows."""
    report(
        f"{stage}_scale",
        more["seconds"] / once["seconds"],
        "ratio",
        SECONDS_GOAL,
        "lower",
        rows=[rows, rows * TIMES],
        seconds=[round(f["seconds"], 2) for f in (once, more)],
    )
    for part in ("driver", "worker"):
        report(
            f"{stage}_scale_{part}_memory",
            more[part] / once[part],
            "ratio",
            MEMORY_GOAL,
            "lower",
            megabytes=[round(f[part]) for f in (once, more)],
            jvm_megabytes=[round(f["jvm"]) for f in (once, more)],  # the heap may have 2 GB
        )
