"""What `clean` has deleted from a run folder: one object, written before anything is deleted.

So a run whose objects are deleted, or may be at this moment, is never taken for one that has not
begun: its jobs would be paid for again. `open_run`, every lease but that of `clean`, and collect
look for this object.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bedrock_spark.errors import RunCleanedError, RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

# The parts of a run folder that may be kept, with their objects and folders. `run.json`,
# `report.json` and other small objects that prove what the run was always stay.
RESULTS, REPORT = "results", "report"
PARTS: dict[str, tuple[str, ...]] = {
    RESULTS: (f"{layout.RESULTS}/", layout.MANIFEST_FILE),
    REPORT: (
        f"{layout.RECONCILIATION}/",
        layout.RECONCILIATIONS_FILE,
        layout.RECONCILIATION_FILE,
    ),
    "deadletters": (f"{layout.DEADLETTERS}/",),
    "requests": tuple(
        f"{folder}/"
        for folder in (
            *(layout.SHARDS, layout.INDEX, layout.ROWS, layout.REJECTS),
            layout.REMAINDERS,
        )
    ),
    "answers": (f"{layout.OUTPUT}/", f"{layout.FALLBACK}/", f"{layout.KEPT}/"),
    "jobs": (f"{layout.LEDGER}/", f"{layout.SNAPSHOTS}/"),
    "temporary": tuple(
        f"{folder}/" for folder in (layout.TASKS, layout.CLAIMS, layout.PROBE, layout.PARTIAL)
    ),
}


@dataclass(frozen=True)
class Cleaned:
    """What clean has deleted, or is about to.

    at: when it began, in seconds since the epoch
    kept: the parts that stay
    folders: of the run in other Regions, as URI and Region: their objects are deleted, too
    is_over: whether all of the rest is deleted
    """

    at: float
    kept: tuple[str, ...]
    folders: tuple[tuple[str, str], ...] = ()
    is_over: bool = False

    def to_json(self) -> bytes:
        """Return it as the object in the run folder holds it."""
        return json.dumps(asdict(self)).encode()


def read_cleaned(storage: Storage, folder: str = "") -> Cleaned | None:
    """Return what clean has deleted from a run folder; None if it never began.

    folder: the run folder below the storage, with a `/` at its end, if it is not the storage itself
    Raises RunFolderError if the object is damaged.
    """
    data = storage.read_if_present(f"{folder}{layout.CLEANED_FILE}")
    if data is None:
        return None
    try:
        values = json.loads(data)
        return Cleaned(
            float(values["at"]),
            tuple(values["kept"]),
            tuple((uri, region) for uri, region in values["folders"]),
            bool(values["is_over"]),
        )
    except (ValueError, TypeError, KeyError) as exc:
        raise RunFolderError(
            f"{storage.uri}/{folder}{layout.CLEANED_FILE}: is damaged. The run was cleaned, and "
            "cannot go on"
        ) from exc


def refuse_cleaned(storage: Storage, needs: Sequence[str] | None = None) -> None:
    """Raise RunCleanedError if clean has deleted, or deletes, what the caller needs.

    needs: parts of the run folder; None for all of them
    """
    cleaned = read_cleaned(storage)
    if cleaned is None or (needs is not None and set(needs) <= set(cleaned.kept)):
        return
    day = dt.datetime.fromtimestamp(cleaned.at, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    if needs is None:
        raise RunCleanedError(
            f"{storage.uri}: was cleaned at {day}, so the run cannot go on. To ask again, use a "
            "new run_uri"
        )
    gone = " and ".join(part for part in needs if part not in cleaned.kept)
    raise RunCleanedError(f"{storage.uri}: was cleaned at {day}; its {gone} did not stay")
