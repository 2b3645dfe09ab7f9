"""Open a Parquet file of a run folder, such as the results of a unit, which collect writes."""

from __future__ import annotations

import io
from pathlib import Path

from bedrock_spark.errors import RunFolderError, StorageError
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import LocalStorage, Storage
from bedrock_spark.storage.range_file import WHOLE_BYTES, RangeFile


def open_results_file(storage: Storage, unit: str) -> Path | io.BytesIO | RangeFile:
    """Return a results file for PyArrow, which reads the columns it needs, and no more.

    Raises RunFolderError if the unit is not collected.
    """
    found = open_parquet(storage, layout.results_key(unit))
    if found is None:
        raise RunFolderError(
            f"{storage.uri}: {unit} has no results yet; run bedrock-spark collect, which needs no "
            "job to be over"
        )
    return found


def open_parquet(storage: Storage, key: str) -> Path | io.BytesIO | RangeFile | None:
    """Return a Parquet file of a run folder for PyArrow; None if there is none."""
    if isinstance(storage, LocalStorage):
        try:
            return storage.fetch(key, Path())
        except StorageError as exc:
            if isinstance(exc.__cause__, FileNotFoundError):
                return None
            raise
    stored = next((o for o in storage.list(key) if o.key == key), None)
    if stored is None:
        return None
    if stored.size <= WHOLE_BYTES:
        return io.BytesIO(storage.read(key))
    return RangeFile(storage, key, stored.size, stored.version)
