"""Read rows of CSV and of JSON lines by Arrow, if Spark would read the same values.

Spark and Arrow differ in odd quotes, escapes and line breaks, and Spark infers the types of JSON
from all rows. So a table is only returned if its values leave no doubt.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from bedrock_spark.config import SourceConfig
from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError, is_true
from bedrock_spark.storage.range_file import RangeFile

_BLOCK_BYTES = 1 << 20
_JSON_BATCH = 1_000


def csv_batches(file: RangeFile, source: SourceConfig) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a CSV file, all values as text. Raises NeedsSparkError."""
    options = {name.lower(): value for name, value in source.options.items()}
    separator = str(options.get("sep", options.get("delimiter", ",")))
    is_doubled = options.get("escape", "\\") == '"'
    takes_breaks = is_true(options.get("multiline"))
    parse = csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    reading = csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False)
    try:
        with csv.open_csv(file, reading, parse) as reader:
            names = reader.schema.names
        file.seek(0)
        texts = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        )
        with csv.open_csv(file, reading, parse, texts) as reader:
            for batch in reader:
                _refuse_doubtful(batch, is_doubled=is_doubled, takes_breaks=takes_breaks)
                yield batch
    except pa.ArrowException:
        # Its text may quote a row.
        raise NeedsSparkError("Arrow cannot parse the CSV") from None


def _refuse_doubtful(batch: pa.RecordBatch, *, is_doubled: bool, takes_breaks: bool) -> None:
    """Raise NeedsSparkError for texts that Spark may read differently with these options."""
    doubtful = []
    if not takes_breaks:
        doubtful.append("[\n\r]")
    if not is_doubled:
        doubtful.append(r'["\\]')
    for pattern in doubtful:
        for column in batch.columns:
            if pc.any(pc.match_substring_regex(column, pattern)).as_py():
                raise NeedsSparkError("the CSV has quotation marks or line breaks inside of values")


def json_batches(file: RangeFile) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file of JSON lines, its columns in the order of their names.

    Columns that later rows alone have are in later batches only. Raises NeedsSparkError.
    """
    lines = (line for line in io.BufferedReader(file, _BLOCK_BYTES) if line.strip())
    while part := list(itertools.islice(lines, _JSON_BATCH)):
        rows = [_json_object(line) for line in part]
        names = sorted({name for row in rows for name in row})
        try:
            columns = [pa.array([row.get(name) for row in rows]) for name in names]
        except (pa.ArrowException, UnicodeError, OverflowError):
            raise NeedsSparkError("a column of the JSON has values of several types") from None
        yield pa.RecordBatch.from_arrays(columns, names=names)


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise NeedsSparkError("a line of the file is no JSON object")
    return value


def refuse_untold_types(batch: pa.RecordBatch, names: tuple[str, ...]) -> None:
    """Raise NeedsSparkError unless these columns are texts, which Spark infers from any row alike.

    A column of numbers in the first rows may be one of texts for Spark, because of a later row.
    """
    for name in names:
        if name not in batch.schema.names or not pa.types.is_string(batch.schema.field(name).type):
            raise NeedsSparkError(f"the type of the column {name} depends on all rows of the JSON")
