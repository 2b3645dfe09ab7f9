"""The last report of a run, as report.json holds it: for commands that do not collect.

docs/report.md has the format.
"""

from __future__ import annotations

import json
from typing import Any

from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

# The version of the format. It changes if a key changes its meaning or is removed.
VERSION = 1
# A row without an outcome: its shard waits for a batch job or has one, or was never collected.
WAITING = "waiting"


def read_report(storage: Storage, run_id: str, folder: str = "") -> dict[str, Any] | None:
    """Return report.json; None if there is none of this version and this run.

    folder: the run folder below the storage, with a `/` at its end, if it is not the storage itself

    A damaged one is none: nothing depends on it.
    """
    data = storage.read_if_present(f"{folder}{layout.REPORT_FILE}")
    try:
        values = json.loads(data) if data is not None else None
    except ValueError:
        return None
    if not isinstance(values, dict) or values.get("version") != VERSION:
        return None
    return values if values.get("run_id") == run_id else None
