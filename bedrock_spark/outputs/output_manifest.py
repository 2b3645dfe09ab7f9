"""Read the output manifest of a batch job: its counts of records and tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class OutputManifest:
    """The counts in a batch job's output manifest. Any may be None: the manifest may lack its key.

    total, processed, succeeded, failed: numbers of records
    """

    total: int | None = None
    processed: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    images: int | None = None


# Names of image counters in the preview, one per size and steps: outputImgCount512x512pStep50, …
_IMAGE_COUNT = "outputImgCount"


def read_output_manifest(data: bytes) -> OutputManifest | None:
    """Read a manifest.json.out; return None if it is not a JSON object."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    return OutputManifest(
        total=_count(values, "totalRecordCount"),
        processed=_count(values, "processedRecordCount"),
        succeeded=_count(values, "successRecordCount"),
        failed=_count(values, "errorRecordCount"),
        input_tokens=_count(values, "inputTokenCount", "inputTextTokenCount"),
        output_tokens=_count(values, "outputTokenCount", "outputTextTokenCount"),
        images=_images(values),
    )


def _images(values: dict[str, Any]) -> int | None:
    """Add up the image counters of all sizes; return None if there are none."""
    counters = [_count(values, name) for name in values if name.startswith(_IMAGE_COUNT)]
    counts = [count for count in counters if count is not None]
    return sum(counts) if counts else None


def _count(values: dict[str, Any], *names: str) -> int | None:
    """Return the first integer under one of the names; None if there is none."""
    for name in names:
        value = values.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
