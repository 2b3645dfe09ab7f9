"""Cut batches so that the images and documents of each slice fit into memory, and fetch them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.s3_objects import MAX_OBJECT_BYTES, ObjectReader
from bedrock_spark.spark.prepare.arrow_columns import column_values
from bedrock_spark.spark.prepare.prefetch import THREADS, Prefetch
from bedrock_spark.templates.body_template import BodyTemplate


def open_objects(aws: AwsSettings) -> Prefetch:
    """Return the prefetcher of the S3 objects that rows name. Nothing is fetched yet."""
    return Prefetch(ObjectReader(aws, THREADS).read, MAX_OBJECT_BYTES)


def with_media(
    batch: pa.RecordBatch, template: BodyTemplate, objects: Prefetch
) -> Iterator[pa.RecordBatch]:
    """Yield a batch in slices. Until the next one is asked for, `objects` has a slice's objects.

    If the template reads no images or documents, the batch is yielded whole.
    """
    if not template.media:
        yield batch
        return
    columns = {
        placeholder.column: batch.column(placeholder.column) for placeholder in template.media
    }
    weights = _weights(columns.values(), batch.num_rows)
    start = 0
    for rows in objects.groups(_uris(columns, template), weights):
        yield batch.slice(start, rows)
        start += rows


def _uris(columns: dict[str, pa.Array], template: BodyTemplate) -> list[list[str]]:
    """Return the URIs that each row names. Columns of bytes name none and are not copied."""
    values = {
        name: [None] * len(column) if _holds_bytes(column.type) else column_values(column)
        for name, column in columns.items()
    }
    rows = zip(*values.values(), strict=True)
    return [template.uris(dict(zip(values, row, strict=True))) for row in rows]


def _weights(columns: Iterable[pa.Array], rows: int) -> list[int]:
    """Return about how many bytes of images and documents each row holds itself."""
    weights = [0] * rows
    for column in columns:
        if _is_binary(column.type):
            lengths = pc.fill_null(pc.binary_length(column), 0).to_pylist()
        else:
            lengths = [column.nbytes // rows] * rows if rows else []
        weights = [weight + length for weight, length in zip(weights, lengths, strict=True)]
    return weights


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
