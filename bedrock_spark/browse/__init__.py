"""Look at a run without Spark: its results, its errors, one record, all runs below a prefix.

PyArrow is imported only when results are read: a machine that only controls the batch jobs does not
need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def read_results(
    run_uri: str,
    columns: Sequence[str] | None = None,
    outcomes: Sequence[str] | None = None,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
) -> pa.Table:
    """Return the collected rows of a run as one Arrow table, in memory; see `open_results`.

    Its `to_pandas()` is a pandas DataFrame, and `polars.from_arrow` takes it as it is.
    """
    return open_results(
        run_uri, columns, outcomes, region=region, endpoint_url=endpoint_url
    ).read_all()


def open_results(
    run_uri: str,
    columns: Sequence[str] | None = None,
    outcomes: Sequence[str] | None = None,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
) -> pa.RecordBatchReader:
    """Return a reader of the collected rows: kept source columns, then result columns.

    It holds one shard at a time in memory. DuckDB can query it by its name, as any Arrow reader.

    run_uri: of the config; columns: those to return, None for all
    outcomes: only rows that ended so, such as ("ok",); None for all
    region, endpoint_url: used to read the folder, if the environment names none
    Raises RunFolderError if there is no run, or a shard is not collected; ConfigError for a column
    that does not exist.
    """
    from bedrock_spark.browse.results import reader_of
    from bedrock_spark.run_folder.cleaned import RESULTS
    from bedrock_spark.run_folder.run import find_run

    run = find_run(run_uri, region, endpoint_url, needs=(RESULTS,))
    return reader_of(run, columns, outcomes)


__all__ = ["open_results", "read_results"]
