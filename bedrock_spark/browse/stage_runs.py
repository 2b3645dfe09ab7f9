"""The folder of a config with stages, among the runs below a prefix: one line for all stages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bedrock_spark.browse.runs import BegunRun, FoundRun, read_begun, uri_of
from bedrock_spark.errors import RunFolderError
from bedrock_spark.outputs.outcomes import OK
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.stages_file import STAGES_FILE, read_stage_names
from bedrock_spark.storage import Storage


def read_begun_stages(storage: Storage, folder: str) -> tuple[BegunRun, tuple[str, ...]] | None:
    """Return the stages in a folder below a prefix as one run, with their names; None if none are.

    It was begun, and has the model, as its first stage.
    """
    uri = uri_of(storage, folder)
    try:
        names = read_stage_names(storage, folder)
    except RunFolderError:
        return BegunRun(folder, uri, problem=f"{STAGES_FILE} is damaged"), ()
    if names is None:
        return None
    first = read_begun(storage, f"{folder}{names[0]}/") if names else None
    if first is None:
        return BegunRun(folder, uri), names
    return BegunRun(folder, uri, None, first.model_id, first.begun_at), names


def read_stages_summary(storage: Storage, begun: BegunRun) -> FoundRun:
    """Return what the last report of all stages says; rows are those of the last stage with any."""
    if begun.problem is not None:
        return FoundRun(begun.run_uri, problem=begun.problem)
    known = FoundRun(begun.run_uri, None, begun.model_id, begun_at=begun.begun_at)
    data = storage.read_if_present(f"{begun.folder}{layout.REPORT_FILE}")
    if data is None:
        return known
    try:
        report = json.loads(data)
        stages = [stage["report"] for stage in report["stages"] if stage["report"] is not None]
        last: Mapping[str, Any] = stages[-1] if stages else {}
        return FoundRun(
            run_uri=begun.run_uri,
            model_id=begun.model_id,
            state=str(report["state"]),
            rows=int(last.get("rows") or 0),
            ok=int((last.get("outcomes") or {}).get(OK, 0)),
            cost=report["cost"],
            begun_at=begun.begun_at,
            ended_at=last.get("ended_at"),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return FoundRun(begun.run_uri, problem=f"{layout.REPORT_FILE} is damaged")
