"""Guess how much there is, to plan the deal; what it comes to in the end is counted exactly."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - what everybody calls it
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark import record_ids
from bedrock_spark.planning import SourceSize
from bedrock_spark.shard_lines import FRAME_BYTES
from bedrock_spark.spark.columns import column_of
from bedrock_spark.templates import BodyTemplate

# What a line holds beside its body.
_LINE_OVERHEAD = FRAME_BYTES + record_ids.LENGTH
# What to_json puts around a value: {"v":…}
_WRAPPING = len('{"v":}')
_SAMPLE_ROWS = 20_000


def guess_size(df: DataFrame, template: BodyTemplate) -> SourceSize:
    """Count the rows and guess at their lines from the first few. Runs two small Spark actions."""
    lengths = [_json_length(df, name) for name in template.columns]
    total = sum(lengths[1:], lengths[0]) if lengths else F.lit(0).cast("bigint")
    sample = [row[0] for row in df.select(total).take(_SAMPLE_ROWS)]
    rows = df.count() if len(sample) == _SAMPLE_ROWS else len(sample)
    fixed = template.static_bytes + _LINE_OVERHEAD
    lines = [fixed + length for length in sample]
    return SourceSize(
        records=rows,
        line_bytes=sum(lines) * rows // max(1, len(lines)),
        squares=sum(line * line for line in lines) * rows // max(1, len(lines)),
    )


def _json_length(df: DataFrame, name: str) -> Column:
    """Return the bytes of a value as JSON; of bytes, as base64."""
    column, kind = column_of(name), df.schema[name].dataType
    if isinstance(kind, T.BinaryType):
        length = F.octet_length(column) * 4 / 3
    else:
        length = F.octet_length(F.to_json(F.struct(column.alias("v")))) - _WRAPPING
    return F.coalesce(length, F.lit(4)).cast("bigint")
