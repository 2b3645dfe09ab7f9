"""Find the last run of the same source, and what is not as it was.

It is the run in the run folder, or the one that is named, or the newest prepared run beside the run
folder whose source is the same. Only a few small objects of a run are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.clock import iso_time
from bedrock_spark.config import Config, fixed_part, parse_config
from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.outputs.outcomes import REJECTED
from bedrock_spark.planning.values import Earlier
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.changes import changed_keys, described
from bedrock_spark.run_folder.manifest import RunManifest, SourceState, read_manifest
from bedrock_spark.run_folder.report_file import read_report, whole_cost
from bedrock_spark.run_folder.run import Run
from bedrock_spark.run_folder.run_file import parse_run_file
from bedrock_spark.run_folder.source_change import change_of
from bedrock_spark.run_folder.stages_file import read_stage_names
from bedrock_spark.storage import Storage, open_storage

IN_FOLDER, NAMED, BESIDE = "the run folder", "--against", "beside the run folder"
# How many folders beside the run folder are looked at: the last ones by name, as most names that
# tell runs apart are dates or numbers.
_MOST_FOLDERS = 200
_THREADS = 16
_PLACES = ("path", "table", "sql", "run")
# Sections that do not decide what is asked: where it is kept, how it is cut, what is known.
_NOT_ASKED = ("run_uri", "shards", "answers")
_PROMPT = (
    *("prompt", "system", "negative_prompt", "body", "body_column"),
    *("images", "documents"),
)
PROMPT_CHANGED, MODEL_CHANGED = "prompt changed", "model changed"
REQUEST_CHANGED, SOURCE_CHANGED = "request changed", "source changed"


@dataclass(frozen=True)
class Change:
    """Something that is not as it was in an earlier run. how: in words, without a prompt."""

    reason: str
    how: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.how}"


@dataclass(frozen=True)
class EarlierRun:
    """A run that a plan is compared with.

    how: how it was found; description: the content of `run.json`
    report: the content of `report.json`, None if there is none
    manifest: None if `clean` has deleted it
    """

    run_uri: str
    how: str
    description: Mapping[str, Any]
    report: Mapping[str, Any] | None
    manifest: RunManifest | None

    @property
    def source(self) -> SourceState | None:
        """Return the state of its source; None if it is not known."""
        return None if self.manifest is None else self.manifest.source


def find_earlier(run: Run, against: str | None = None) -> EarlierRun | None:
    """Return the run to compare a plan of `run` with; None if there is none.

    against: the URI of a run, if it is named
    Raises ConfigError if the named one is no prepared run, RunFolderError if that one, or
    the one in the run folder, is damaged, and StorageError if a folder cannot be read.
    """
    if against is not None:
        found = _prepared(open_storage(against, run.aws), NAMED)
        if found is None:
            raise ConfigError(f"against {against}: there is no run that is prepared")
        return found
    return _prepared(run.storage, IN_FOLDER) or _beside(run)


def _beside(run: Run) -> EarlierRun | None:
    """Return the newest prepared run beside the run folder that has the same source."""
    place = _place(run.config.model_dump(mode="json"))
    parent, _, own = run.storage.uri.rstrip("/").rpartition("/")
    if place is None or not own or parent.endswith("/"):
        return None
    storage = open_storage(parent, run.aws)
    if read_stage_names(storage) is not None:
        return None  # what is beside a stage are other stages: they ask something else
    names = [name for name in storage.folders("") if name != f"{own}/"][-_MOST_FOLDERS:]
    with ThreadPoolExecutor(_THREADS) as pool:
        read = list(pool.map(lambda name: _run_file(storage, name), names))
    same = [
        (float(found.get("created_at") or 0), name)
        for name, found in zip(names, read, strict=True)
        if found is not None and _place(found["config"]) == place
    ]
    folders = (join_uri(parent, name.rstrip("/")) for _, name in sorted(same, reverse=True))
    runs = (_prepared_beside(open_storage(folder, run.aws)) for folder in folders)
    return next((found for found in runs if found is not None), None)


def _prepared_beside(storage: Storage) -> EarlierRun | None:
    """Return the run in a folder; None if there is none that is prepared, or it is damaged."""
    try:
        return _prepared(storage, BESIDE)
    except RunFolderError:
        return None


def _place(config: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return where a config has its rows from; None if they are a DataFrame of the caller."""
    source = config.get("source") or {}
    place = tuple(source.get(name) for name in _PLACES)
    return place if any(place) else None


def _run_file(storage: Storage, folder: str = "") -> dict[str, Any] | None:
    """Return `run.json` of a folder below the storage; None if it has none that can be read."""
    data = storage.read_if_present(f"{folder}{layout.RUN_FILE}")
    try:
        return None if data is None else parse_run_file(data, storage)
    except RunFolderError:
        return None  # what is damaged, or of another version, is no run to compare with


def _prepared(storage: Storage, how: str) -> EarlierRun | None:
    """Return the run in a folder; None if there is none that is prepared."""
    description = _run_file(storage)
    if description is None:
        return None
    report, manifest = read_report(storage, description["run_id"]), read_manifest(storage)
    if manifest is None and not (report is not None and report.get("rows")):
        return None
    return EarlierRun(storage.uri, how, description, report, manifest)


def changes_since(earlier: EarlierRun, config: Config, source: SourceState | None) -> list[Change]:
    """Return what a config and its source have that the earlier run had not.

    A run that another version began has what its config means to this version.
    """
    recorded: Mapping[str, Any] = earlier.description["config"]
    try:
        before = parse_config(recorded).fixed_part()
    except ConfigError:
        before = fixed_part(recorded)
    now = config.fixed_part()
    for name in _NOT_ASKED:
        before.pop(name, None), now.pop(name, None)
    changes = [
        Change(_reason(key), described(key, old, new, of="that run"))
        for key, (old, new) in changed_keys(before, now).items()
    ]
    moved = change_of(earlier.source, source)
    return [*changes, *([Change(SOURCE_CHANGED, moved)] if moved is not None else [])]


def _reason(key: str) -> str:
    section, _, name = key.partition(".")
    if section == "request":
        return PROMPT_CHANGED if name in _PROMPT else REQUEST_CHANGED
    return MODEL_CHANGED if section == "model" else SOURCE_CHANGED


def as_value(earlier: EarlierRun, changes: Sequence[Change]) -> Earlier:
    """Return the numbers of an earlier run, as far as it has them."""
    report, manifest = earlier.report, earlier.manifest
    config = earlier.description["config"]
    common = {
        "run_uri": earlier.run_uri,
        "run_id": earlier.description["run_id"],
        "how": earlier.how,
        "begun_at": iso_time(earlier.description.get("created_at")),
        "model_id": str(config["model"]["id"]),
        "changes": tuple(str(change) for change in changes),
    }
    numbers = _of_manifest(manifest) if manifest is not None else _of_report(report or {})
    if report is None or not report.get("rows"):
        unknown: dict[str, Any] = {"input_tokens": None, "output_tokens": None, "cost": None}
        return Earlier(**common, **numbers, **unknown, state="prepared")
    cost, tokens = whole_cost(report), report.get("tokens") or {}
    has_answers = bool(tokens.get("input") or tokens.get("output"))
    return Earlier(
        **common,
        **numbers,
        state=str(report["state"]),
        input_tokens=tokens["input"] if has_answers else None,
        output_tokens=tokens["output"] if has_answers else None,
        cost=None if cost is None else Decimal(str(cost)),
    )


def _of_manifest(manifest: RunManifest) -> dict[str, Any]:
    """Return the numbers that prepare has fixed. A report has some of them only after a collect."""
    return {
        "rows": manifest.rows,
        "records": manifest.records,
        "kept": manifest.kept_rows,
        "shared": manifest.sharing,
        "rejected": manifest.rejected,
        "shards": len(manifest.shards),
    }


def _of_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same numbers of a run whose manifest `clean` has deleted."""
    return {
        "rows": report["rows"],
        "records": report["records"],
        "kept": report["served_by"].get("kept", 0),
        "shared": report["rows_sharing_a_record"],
        "rejected": report["outcomes"].get(REJECTED, 0),
        "shards": report["shards"],
    }
