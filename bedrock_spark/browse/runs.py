"""All runs below a prefix: which state each is in, how many rows it has, what it cost."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.clock import iso_time
from bedrock_spark.errors import RunFolderError
from bedrock_spark.outputs.outcomes import OK
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import read_cleaned
from bedrock_spark.run_folder.report_file import read_report, whole_cost
from bedrock_spark.storage import Storage, open_storage

# How deep below the prefix runs are looked for: s3://bucket/runs/ + team/ + table/ + date/.
DEPTH = 3
THREADS = 16
BEGUN, CLEANED, CLEANING = "begun", "cleaned", "cleaning"


@dataclass(frozen=True)
class BegunRun:
    """What `run.json` says of a run. It does not change once prepare is committed.

    folder: of the run below the prefix, with a `/` at its end; "" if it is the prefix itself
    problem: why the object cannot be read, else None
    """

    folder: str
    run_uri: str
    run_id: str | None = None
    model_id: str | None = None
    begun_at: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class FoundRun:
    """A run in a run folder, by its `run.json` and its last report.

    state, stage: how the last command left it; "begun" and None if there is no report; "cleaned"
        or "cleaning" and None if `clean` has deleted a part of it
    begun_at, ended_at: ISO 8601 in UTC, None if it is not known
    ok: rows that are ok; cost: dollars, None if it is not known
    problem: why the folder cannot be read, else None
    """

    run_uri: str
    run_id: str | None = None
    model_id: str | None = None
    state: str = BEGUN
    stage: str | None = None
    rows: int = 0
    ok: int = 0
    cost: float | None = None
    begun_at: str | None = None
    ended_at: str | None = None
    problem: str | None = None


def find_runs(prefix: str, aws: AwsSettings) -> list[FoundRun]:
    """Return the runs below a prefix, the newest first. A folder that is a run has none below it.

    One listing per folder that is no run, and two reads per run; nothing else of a run is listed.
    """
    storage = open_storage(prefix, aws)
    with ThreadPoolExecutor(THREADS) as pool:
        found: list[FoundRun] = []
        folders = [""]
        for depth in range(DEPTH + 1):
            read = list(pool.map(lambda folder: _read(storage, folder), folders))
            found += [run for run in read if run is not None]
            others = [folder for folder, run in zip(folders, read, strict=True) if run is None]
            if depth < DEPTH:
                below = pool.map(storage.folders, others)
                folders = [folder for several in below for folder in several]
    return sorted(found, key=lambda run: (run.begun_at or "", run.run_uri), reverse=True)


def _read(storage: Storage, folder: str) -> FoundRun | None:
    begun = read_begun(storage, folder)
    return None if begun is None else read_summary(storage, begun)


def read_begun(storage: Storage, folder: str) -> BegunRun | None:
    """Return the run in a folder below a prefix; None if the folder is no run. Reads one object."""
    data = storage.read_if_present(f"{folder}{layout.RUN_FILE}")
    if data is None:
        return None
    uri = uri_of(storage, folder)
    try:
        description = json.loads(data)
        run_id = str(description["run_id"])
        model_id = str(description["config"]["model"]["id"])
        begun_at = iso_time(description.get("created_at"))
    except (ValueError, TypeError, KeyError, OverflowError):
        return BegunRun(folder, uri, problem=f"{layout.RUN_FILE} is damaged")
    return BegunRun(folder, uri, run_id, model_id, begun_at)


def uri_of(storage: Storage, folder: str) -> str:
    """Return the URI of a folder below a prefix."""
    return join_uri(storage.uri, folder.rstrip("/")) if folder else storage.uri


def read_summary(storage: Storage, begun: BegunRun) -> FoundRun:
    """Return what the last report of a run says, and whether it was cleaned. Reads two objects."""
    if begun.run_id is None:
        return FoundRun(begun.run_uri, problem=begun.problem)
    report = read_report(storage, begun.run_id, begun.folder)
    if report is None:
        return FoundRun(begun.run_uri, begun.run_id, begun.model_id, begun_at=begun.begun_at)
    try:
        cleaned = read_cleaned(storage, begun.folder)
    except RunFolderError:
        return FoundRun(begun.run_uri, problem=f"{layout.CLEANED_FILE} is damaged")
    state, stage = str(report.get("state")), report.get("stage")
    if cleaned is not None:
        state, stage = CLEANED if cleaned.is_over else CLEANING, None
    return FoundRun(
        run_uri=begun.run_uri,
        run_id=begun.run_id,
        model_id=begun.model_id,
        state=state,
        stage=stage,
        rows=int(report.get("rows") or 0),
        ok=int((report.get("outcomes") or {}).get(OK, 0)),
        cost=whole_cost(report),
        begun_at=report.get("started_at") or begun.begun_at,
        ended_at=report.get("ended_at"),
    )
