"""Read the results of a unit: a Parquet file, which collect writes."""

from __future__ import annotations

from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage


def read_results_file(storage: Storage, unit: str) -> bytes:
    """Return the bytes of a results file. Raises RunFolderError if the unit is not collected."""
    data = storage.read_if_present(layout.results_key(unit))
    if data is None:
        raise RunFolderError(
            f"{storage.uri}: {unit} has no results yet; run bedrock-spark collect, which needs no "
            "job to be over"
        )
    return data
