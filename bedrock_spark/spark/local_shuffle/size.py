"""Estimate the size of all records of plain files from some of their rows."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.families.request_body import body_template
from bedrock_spark.shards.plan import SourceSize
from bedrock_spark.spark.local_shuffle.plain_files import PlainFiles
from bedrock_spark.spark.prepare.lint_rows import refuse_batch
from bedrock_spark.spark.prepare.render import ANY_ID, render_lines
from bedrock_spark.spark.prepare.size_estimate import sums_for
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.row_bytes import ID_BYTES, row_bytes


def size_of_files(
    files: PlainFiles, config: Config, columns: SourceColumns, aws: AwsSettings
) -> SourceSize:
    """Estimate the size from the sample. No Spark action runs.

    Raises ConfigError if the model would refuse the bodies of the first rows.
    """
    rows = files.sample
    template = body_template(config)
    if rows.num_rows:
        refuse_batch(rows.select(list(template.columns)), config, aws)
    ids = pa.repeat(ANY_ID, rows.num_rows)
    lines, _ = render_lines(ids, rows, template, config.shards.max_bytes)
    line_bytes = pc.fill_null(pc.binary_length(lines), 0).to_pylist()
    in_memory = (row_bytes(rows.select(list(columns.kept))) + ID_BYTES).tolist()
    return SourceSize(
        files.rows, *sums_for(files.rows, line_bytes), *sums_for(files.rows, in_memory)
    )
