"""The request of a record whose answer was kept: it was not asked, so no object holds its body.

The body is made again from the row, as prepare has made it. The record id of a kept row is the hash
of its body, which proves that it is the same body, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from bedrock_spark.browse.unit_file import UnitFile
from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.request_body import body_template
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.results_file import open_parquet
from bedrock_spark.schema import ROW_RECORD_ID
from bedrock_spark.shards.record_ids import body_hash, hash_of_id
from bedrock_spark.storage import Storage
from bedrock_spark.templates.body_template import RowRejected


def kept_unit_of(storage: Storage, manifest: RunManifest, record_id: str) -> str | None:
    """Return the unit of kept rows that has a record, if one has; None if there is none.

    Units are in the order of hashes, so a few of them are looked at. It may be another one's, which
    has the hashes around it: the caller looks for the record in its rows. None, too, if the rows
    that prepare has written are deleted.
    """
    wanted = hash_of_id(record_id)
    if wanted is None or not manifest.kept:
        return None
    low, high = 0, len(manifest.kept)
    while low < high:
        middle = (low + high) // 2
        first = _first_hash(storage, manifest, manifest.kept[middle].unit)
        if first is None:
            return None
        low, high = (middle + 1, high) if first <= wanted else (low, middle)
    return manifest.kept[low - 1].unit if low else None


def _first_hash(storage: Storage, manifest: RunManifest, unit: str) -> int | None:
    source = open_parquet(storage, layout.rows_key(unit, manifest.prepare_id))
    if source is None:
        return None
    with UnitFile(storage, unit, source) as file:
        ids = file.take(0, [0], [ROW_RECORD_ID]).column(0)
        return hash_of_id(str(ids[0].as_py()))


def request_of_row(config: Config, row: pa.RecordBatch, record_id: str) -> tuple[bytes | None, str]:
    """Return the body of a kept row, and what to know about it; None and why it cannot be made.

    row: one row, with the columns that the run has kept of the source
    """
    from bedrock_spark.spark.prepare.arrow_columns import column_values

    kept = "the answer was kept by an earlier run, so this run has not asked"
    try:
        template = body_template(config)
    except ConfigError:
        return None, f"{kept}; the config's request cannot be made again"
    missing = [name for name in template.columns if name not in row.schema.names]
    if missing:
        return None, (
            f"{kept}; its request reads {_listed(missing)}, which source.columns does not keep"
        )
    if template.media:
        return None, f"{kept}; its request has images or documents, which are not fetched again"
    values = {name: column_values(row.column(name))[0] for name in template.columns}
    try:
        body = template.render(values)
    except RowRejected as exc:
        return None, f"{kept}; its request cannot be made again: {exc.column} {exc.reason}"
    if body_hash(body) != hash_of_id(record_id):
        return None, (
            f"{kept}; what the row makes now is not the request that has this record id: the "
            "config or the row has changed"
        )
    return body, f"{kept}; this is made again from the row, and has the hash of the record id"


def first_row(table: pa.Table) -> pa.RecordBatch:
    """Return the first row of a table."""
    return table.take(pa.array(np.zeros(1, np.int64))).combine_chunks().to_batches()[0]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
