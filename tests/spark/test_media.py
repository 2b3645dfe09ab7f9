"""Images and documents in prepare: which columns may hold them, and how batches are sliced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.s3_objects import ObjectReader
from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.request_body import body_template
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.spark.prepare.media_batches import with_media
from bedrock_spark.spark.prepare.prefetch import Prefetch
from bedrock_spark.spark.prepare.size_estimate import with_object_sizes
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.templates.body_template import BodyTemplate, compile_template
from bedrock_spark.templates.json_values import Unrenderable
from bedrock_spark.templates.placeholders import Placeholder
from tests.spark_sessions import make_config

MB = 1_000_000


@pytest.mark.versions
@pytest.mark.parametrize(
    ("select", "request_", "message"),
    [
        ("7 as photo", {"images": "photo"}, "request: photo is a int; images and documents are"),
        (
            "array(array('s3://b/k')) as photo",
            {"images": "photo"},
            "request: photo is a array<array<string>>; images",
        ),
        ("map('a', X'00') as paper", {"documents": "paper"}, "request: paper is a map<string,bin"),
        ("X'00' as foto", {"images": "photo"}, "no column photo; did you mean foto?"),
        (
            "array(named_struct('t', interval '1-2' year to month)) as photo",
            {"prompt": "{{ photo }}"},
            "request: photo holds the type interval year to month, which cannot be read; cast it",
        ),
        (
            "map('a', interval '1-2' year to month) as photo",
            {},
            "source.columns: photo holds the type interval year to month, which cannot be read",
        ),
        ("7 as n", {"body": {"a": "{{ n | base64 }}"}}, "request: n is a int; images and doc"),
    ],
)
def test_a_column_of_another_type_is_an_error_before_anything_is_read(
    spark: SparkSession, tmp_path: Path, select: str, request_: dict[str, Any], message: str
) -> None:
    """The message has the column's type and the types that are accepted."""
    df = spark.sql(f"select 1 as id, 'x' as body, {select}")
    if "body" in request_:
        request_ = {"prompt": None, "max_tokens": None, **request_}
    config = make_config(str(tmp_path / "run"), request=request_, batch={"lint": "ignore"})
    with pytest.raises(ConfigError) as caught:
        prepare(spark, open_run(config, SystemClock()), df)
    assert message in str(caught.value)
    assert not (tmp_path / "run" / "shards").exists()


@pytest.mark.versions
@pytest.mark.parametrize(
    "select", ["X'00'", "'s3://b/k'", "array(X'00')", "array('s3://b/k')", "null"]
)
def test_bytes_and_uris_and_arrays_of_them_are_accepted(
    spark: SparkSession, tmp_path: Path, select: str
) -> None:
    """Only types are checked here: a wrong value rejects its row later."""
    df = spark.sql(f"select 1 as id, 'x' as body, cast({select} as {kind_of(select)}) as photo")
    config = make_config(str(tmp_path), request={"images": "photo"}, batch={"lint": "ignore"},
                         endpoint_url="http://127.0.0.1:9")  # fmt: skip
    template = body_template(config)
    assert template.media == (Placeholder("photo"),)
    assert with_object_sizes(template, df.limit(0), AwsSettings("us-east-1")) == template


def kind_of(select: str) -> str:
    one = "string" if "s3" in select else "binary"
    return f"array<{one}>" if "array" in select else one


def batch_of(**columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def slice_rows(template: BodyTemplate, batch: pa.RecordBatch, group_bytes: int) -> list[int]:
    """Return the number of rows of each slice; all objects of a slice can be fetched."""

    def read(uri: str) -> bytes:
        if "gone" in uri:
            raise Unrenderable("names an S3 object that is not there")
        return bytes(1000)

    sizes = []
    with Prefetch(read, MB, group_bytes=group_bytes) as objects:
        for rows in with_media(batch, template, objects):
            sizes.append(rows.num_rows)
            uris = [uri for row in rows.to_pylist() for uri in template.uris(row)]
            assert all(len(objects.fetch(uri)) == 1000 for uri in uris if "gone" not in uri)
    return sizes


def test_a_slice_ends_when_its_objects_fill_a_group() -> None:
    """Bytes in columns and fetched objects both count; other columns do not."""
    photo = compile_template({"a": "{{ photo | base64 }}"})
    uris = batch_of(photo=[f"s3://b/{i}" for i in range(5)])
    assert slice_rows(photo, uris, group_bytes=2000) == [2, 2, 1]
    assert slice_rows(photo, uris, group_bytes=MB) == [5]
    data = batch_of(photo=[b"x" * 1000, None, b"x" * 3000, b"", b"x"])
    assert slice_rows(photo, data, group_bytes=2000) == [3, 2]
    nested = batch_of(photos=[["s3://b/1", "s3://b/gone"], None, ["s3://b/2"] * 3])
    photos = compile_template({"a": "{{ photos[0] | base64 }}"})
    assert slice_rows(photos, nested, group_bytes=1000) == [1, 2]
    assert slice_rows(compile_template({"a": "{{ photo }}"}), data, group_bytes=1) == [5]


def test_the_size_of_objects_is_part_of_the_estimate(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As base64, on average over the first rows; an object that does not exist counts 0 bytes."""
    measured = []

    def size(reader: ObjectReader, uri: str) -> int:
        measured.append(uri)
        if "gone" in uri:
            raise Unrenderable("names an S3 object that is not there")
        return 3 * MB

    monkeypatch.setattr(ObjectReader, "size", size)
    template = compile_template({"a": "{{ scan | base64 }}", "b": "{{ photo | base64 }}"})
    df = spark.sql("select * from values ('s3://b/1', X'00'), ('s3://b/gone', X'01'), (null, X'')"
                   " as t(scan, photo)")  # fmt: skip
    with_sizes = with_object_sizes(template, df, AwsSettings("us-east-1"))
    assert sorted(measured) == ["s3://b/1", "s3://b/gone"]
    assert with_sizes.static_bytes - template.static_bytes == 4 * MB // 3
    plain = compile_template({"a": "{{ photo | base64 }}"})
    assert with_object_sizes(plain, df, AwsSettings("us-east-1")) is plain
