"""How large the objects are that rows name: asked of the first few, to plan the deal.

A URI is short and what it names is not. Without this a source of a million images would look like
one shard.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

from pyspark.sql import DataFrame
from pyspark.sql import types as T  # noqa: N812 - what everybody calls it

from bedrock_spark.clients import AwsSettings
from bedrock_spark.errors import StorageError
from bedrock_spark.prefetch import THREADS
from bedrock_spark.s3_objects import ObjectReader
from bedrock_spark.spark.columns import column_of
from bedrock_spark.templates import BodyTemplate
from bedrock_spark.values import Unrenderable

_SAMPLE_ROWS = 100


def with_object_sizes(template: BodyTemplate, df: DataFrame, aws: AwsSettings) -> BodyTemplate:
    """Return the template with what the objects of a row come to counted as literal bytes.

    Runs a small Spark action where the template reads images or documents, and is a guess.
    """
    names = list(dict.fromkeys(lookup.column for lookup in template.media))
    named = [name for name in names if _names_objects(df.schema[name].dataType)]
    if not named:
        return template
    rows = df.select(*map(column_of, named)).take(_SAMPLE_ROWS)
    missing = dict.fromkeys(names)
    uris = [u for row in rows for u in template.uris({**missing, **row.asDict(recursive=True)})]
    with ThreadPoolExecutor(THREADS) as pool:
        reader = ObjectReader(aws, THREADS)
        total = sum(pool.map(lambda uri: _size(reader, uri), uris))
    encoded = total * 4 // 3 // max(1, len(rows))
    return dataclasses.replace(template, static_bytes=template.static_bytes + encoded)


def _size(reader: ObjectReader, uri: str) -> int:
    try:
        return min(reader.size(uri), reader.max_bytes)
    except (Unrenderable, StorageError):
        return 0  # a guess may be wrong; the task will say what is the matter


def _names_objects(kind: T.DataType) -> bool:
    one = kind.elementType if isinstance(kind, T.ArrayType) else kind
    return not isinstance(one, T.BinaryType)
