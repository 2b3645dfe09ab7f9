"""Read the results of a unit: a Parquet file, which collect writes."""

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
    key = layout.results_key(unit)
    if isinstance(storage, LocalStorage):
        try:
            return storage.fetch(key, Path())
        except StorageError as exc:
            if isinstance(exc.__cause__, FileNotFoundError):
                raise _not_collected(storage, unit) from None
            raise
    stored = next((o for o in storage.list(key) if o.key == key), None)
    if stored is None:
        raise _not_collected(storage, unit)
    if stored.size <= WHOLE_BYTES:
        return io.BytesIO(storage.read(key))
    return RangeFile(storage, key, stored.size, stored.version)


def _not_collected(storage: Storage, unit: str) -> RunFolderError:
    return RunFolderError(
        f"{storage.uri}: {unit} has no results yet; run bedrock-spark collect, which needs no "
        "job to be over"
    )
