"""Metrics as a text file for the textfile collector of Prometheus' node_exporter.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format. The collector reads
each `*.prom` file of a folder; it must never see half a file, so that is renamed into its place.
https://github.com/prometheus/node_exporter#textfile-collector
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from bedrock_spark.monitoring.samples import METRICS, Sample

_PREFIX = "bedrock_spark_"


def as_text(samples: Iterable[Sample], labels: Mapping[str, str]) -> str:
    """Return samples in the text format, those of a metric together.

    labels: of each sample, beside its own
    """
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    lines: list[str] = []
    for name, (text, _) in METRICS.items():
        if name in by_name:
            lines += [f"# HELP {_PREFIX}{name} {text}", f"# TYPE {_PREFIX}{name} gauge"]
            lines += [_line(sample, labels) for sample in by_name[name]]
    return "".join(f"{line}\n" for line in lines)


def _line(sample: Sample, labels: Mapping[str, str]) -> str:
    named = {**labels, **sample.labels}
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in named.items())
    return f"{_PREFIX}{sample.name}{{{inside}}} {sample.value:.15g}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def write_text(folder: str, run_id: str, text: str) -> None:
    """Replace the file of a run in a folder, at once. Raises OSError if that is not possible."""
    path = Path(folder) / f"bedrock_spark-{run_id}.prom"
    # Another name than *.prom; the process id, because another process may write at the same time.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
