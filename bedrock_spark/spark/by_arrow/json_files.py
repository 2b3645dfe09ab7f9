"""Read rows of JSON lines, if Spark would read the same values.

Spark infers the types of JSON from all rows. So a table is only returned if its values leave no
doubt.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError, refuse_names
from bedrock_spark.storage.range_file import RangeFile

_BLOCK_BYTES = 1 << 20
_JSON_BATCH = 1_000
_BLANK = b" \t\r\n"


def json_batches(file: RangeFile) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file of JSON lines, its columns in the order of their names.

    Columns that later rows alone have are in later batches only. Raises NeedsSparkError.
    """
    lines = (line for line in io.BufferedReader(file, _BLOCK_BYTES) if line.strip(_BLANK))
    while part := list(itertools.islice(lines, _JSON_BATCH)):
        rows = [_json_object(line) for line in part]
        names = sorted({name for row in rows for name in row})
        refuse_names(names)
        try:
            columns = [pa.array([row.get(name) for row in rows]) for name in names]
        except (pa.ArrowException, UnicodeError, OverflowError):
            raise NeedsSparkError("a column of the JSON has values of several types") from None
        yield pa.RecordBatch.from_arrays(columns, names=names)


def _json_object(line: bytes) -> dict[str, Any]:
    if b"\r" in line.rstrip(b"\r\n"):
        raise NeedsSparkError("a line of the JSON holds a carriage return, which ends it in Spark")
    try:
        value = json.loads(line, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise NeedsSparkError("a line of the file is no JSON object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name.lower() for name, _ in pairs}) < len(pairs):
        raise NeedsSparkError("an object of the JSON has a name twice, if case is ignored")
    return dict(pairs)


def refuse_untold_types(batch: pa.RecordBatch, names: tuple[str, ...]) -> None:
    """Raise NeedsSparkError unless these columns are texts, which Spark infers from any row alike.

    A column of numbers in the first rows may be one of texts for Spark, because of a later row.
    """
    for name in names:
        if name not in batch.schema.names or not pa.types.is_string(batch.schema.field(name).type):
            raise NeedsSparkError(f"the type of the column {name} depends on all rows of the JSON")
