"""Metrics as a line of CloudWatch's embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
CloudWatch Logs makes metrics of such a line, wherever it comes from: the standard error of a
container or of Lambda, or a file that the CloudWatch agent reads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bedrock_spark.monitoring.samples import METRICS, Sample

STDERR = "stderr"
# A state is a property, not a metric: CloudWatch would bill one metric for each state.
_NO_METRICS = ("state", "updated_timestamp_seconds")


def as_line(
    samples: Iterable[Sample],
    namespace: str,
    dimensions: Mapping[str, str],
    properties: Mapping[str, str],
    now: float,
) -> str:
    """Return samples as one line of JSON.

    dimensions: each combination of their values is a set of metrics of its own, and billed
    properties: what CloudWatch Logs can be searched by; now: in seconds since the epoch
    """
    values: dict[str, float] = {}
    definitions: dict[str, dict[str, str]] = {}
    for sample in samples:
        if sample.name in _NO_METRICS:
            continue
        name = "_".join((sample.name, *_parts(sample)))
        values[name] = sample.value
        definitions[name] = {"Name": name, "Unit": METRICS[sample.name][1]}
    head: dict[str, Any] = {
        "_aws": {
            "Timestamp": round(now * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": namespace,
                    "Dimensions": [list(dimensions)],
                    "Metrics": list(definitions.values()),
                }
            ],
        }
    }
    return json.dumps({**head, **dimensions, **properties, **values}, ensure_ascii=False)


def _parts(sample: Sample) -> list[str]:
    """Return the values of labels that make another metric: `rows_ok`, `stage_done_batch`."""
    return [value for name, value in sample.labels.items() if name in ("outcome", "stage")]


def write_line(place: str, line: str) -> None:
    """Append a line to a file, or write it to the standard error. Raises OSError."""
    if place == STDERR:
        # One write, so that no other thread's line comes between the text and its end.
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
        return
    with Path(place).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
