"""Where the numbers of a run go while it runs: Prometheus and CloudWatch."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from bedrock_spark.config.base import Section

# https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# CloudWatch takes 30 dimensions; the model is one of them.
_MAX_LABELS = 20
# Labels and properties of all metrics, and the head of a line of the embedded metric format.
_OURS = ("run_id", "run_uri", "model", "stage", "unit", "outcome", "state", "_aws")


def _check_labels(labels: dict[str, str]) -> dict[str, str]:
    for name in labels:
        if not _LABEL.fullmatch(name) or name.startswith("__"):
            raise ValueError(
                f"{name!r} is no name of a label: letters, digits and _, no digit first"
            )
        if name in _OURS:
            raise ValueError(f"{name!r} is a label that each metric has already")
        if not labels[name].strip():
            raise ValueError(f"{name!r} has no value: CloudWatch takes no empty dimension")
    return labels


class MetricsConfig(Section):
    """Where the numbers of a run go. Nothing is written if neither place is set."""

    textfile_folder: str | None = Field(default=None, min_length=1)
    emf: str | None = Field(default=None, min_length=1)
    namespace: str = Field(default="BedrockSpark", pattern=r"^[A-Za-z0-9._/#-]{1,255}$")
    labels: Annotated[dict[str, str], AfterValidator(_check_labels)] = Field(
        default={}, max_length=_MAX_LABELS
    )
