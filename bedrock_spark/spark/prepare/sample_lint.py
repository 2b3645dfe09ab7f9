"""Check the bodies that the first rows become by the rules of the linter, before anything is paid.

A placeholder of the config may become any value. So only a rendered body shows a temperature that a
column gives, or a role that the model does not have.
"""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.families.request_body import body_template
from bedrock_spark.spark.prepare.columns import column_of
from bedrock_spark.spark.prepare.lint_rows import (
    SAMPLE_ROWS,
    LintRows,
    refuse_batch,
    refuse_found,
)

_SAMPLE = "sample string"
# Types whose values are the same in Python, however they come there.
PLAIN: dict[type[T.DataType], pa.DataType] = {
    T.StringType: pa.string(),
    T.ByteType: pa.int8(),
    T.ShortType: pa.int16(),
    T.IntegerType: pa.int32(),
    T.LongType: pa.int64(),
    T.FloatType: pa.float32(),
    T.DoubleType: pa.float64(),
    T.BooleanType: pa.bool_(),
}


def refuse_sample(
    rows: DataFrame, columns: tuple[str, ...], config: Config, aws: AwsSettings
) -> None:
    """Raise ConfigError if the model would refuse the bodies that the first rows become.

    columns: those that the template reads
    Runs a small Spark action. See `refuse_found`.

    If all columns are plain, this process renders 20 rows. If not, an executor renders those of the
    first partition that has any, in a Python process that Spark ends then, because it has not read
    the partition to its end: the next task starts another, which takes a second.
    """
    if config.batch.lint == "ignore":
        return
    rows = rows.select(*map(column_of, columns))
    kinds = [PLAIN.get(type(field.dataType)) for field in rows.schema]
    if None in kinds or body_template(config).media:
        made = rows.mapInArrow(LintRows(config, aws), _SAMPLE).take(1)
        refuse_found((row[0] for row in made), config)
        return
    first = rows.take(SAMPLE_ROWS)
    arrays = [pa.array([row[i] for row in first], kind) for i, kind in enumerate(kinds)]
    refuse_batch(pa.RecordBatch.from_arrays(arrays, names=rows.columns), config, aws)
