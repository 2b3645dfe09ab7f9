"""The last report of a run, as report.json holds it: for commands that do not collect.

docs/report.md has the format.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.report_shape import ReportJson
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

# The version of the format. It changes if a key changes its meaning or is removed.
VERSION = 1
# The state of a run whose results are final and published.
DONE = "done"
# A row without an outcome: its shard waits for a batch job or has one, or was never collected.
WAITING = "waiting"


def whole_cost(report: Mapping[str, Any]) -> float | None:
    """Return the dollars of a run by its report; None if a part of the cost is not known.

    For readers of a single number, who cannot see that a sum lacks a part.
    """
    cost = report.get("cost")
    return None if cost is None or report.get("unpriced") else float(cost["total"])


def read_report(storage: Storage, run_id: str, folder: str = "") -> dict[str, Any] | None:
    """Return report.json; None if there is none of this version and this run.

    folder: the run folder below the storage, with a `/` at its end, if it is not the storage itself

    One that is damaged, or that lacks a key of report_shape.py, counts as none, and a warning says
    so. No row and no answer depends on it, and the next collect writes it again.
    """
    key = f"{folder}{layout.REPORT_FILE}"
    data = storage.read_if_present(key)
    if data is None:
        return None
    try:
        values = msgspec.json.decode(data)
        if not isinstance(values, dict) or values.get("version") != VERSION:
            return None
        if values.get("run_id") != run_id:
            return None
        msgspec.convert(values, ReportJson)
    except (msgspec.MsgspecError, RecursionError) as exc:
        log.warning(
            "%s: is not the report of a run, and is left out: %s", join_uri(storage.uri, key), exc
        )
        return None
    return values
