"""Images and documents: from a table with bytes and S3 URIs to the records of the shards."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

import bedrock_spark
from bedrock_emulator import LocalBedrock
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.shards import record_ids
from tests.e2e.conftest import BUCKET
from tests.spark_sessions import CLAUDE, make_config
from tests.unit.files import GIF, JPEG, PDF, PNG

Start = Callable[..., LocalBedrock]
ROWS = 12  # every combination of image format and number of scans, and enough for a job
FAMILIES: dict[str, dict[str, Any]] = {
    "anthropic": {"id": CLAUDE},
    "nova": {"id": "us.amazon.nova-lite-v1:0"},
    "converse": {"id": "us.amazon.nova-lite-v1:0", "invocation": "converse"},
}
SCHEMA = "id long, photo binary, scans array<string>, paper string"


def photo(number: int) -> bytes:
    return (PNG, JPEG, GIF)[number % 3] + number.to_bytes(2, "big")


def scan(number: int) -> bytes:
    return JPEG + b"scan" + number.to_bytes(2, "big") * 500


def paper(number: int) -> bytes:
    return PDF + number.to_bytes(2, "big")


def put_objects(local: LocalBedrock) -> None:
    s3 = local.client("s3")
    s3.create_bucket(Bucket="pictures")
    for number in range(ROWS):
        s3.put_object(Bucket="pictures", Key=f"scan {number}?.bin", Body=scan(number))
        s3.put_object(Bucket="pictures", Key=f"papers/{number}", Body=paper(number))


def source(spark: SparkSession) -> DataFrame:
    """Return rows, each with a photo, zero to two scans in S3, and a paper in S3."""
    rows = [
        (
            i,
            photo(i),
            [f"s3://pictures/scan {i}?.bin"] * (i % 3),
            f"s3://pictures/papers/{i}",
        )
        for i in range(ROWS)
    ]
    return spark.createDataFrame(rows, SCHEMA).repartition(3)


def bodies_of(pipeline: Pipeline) -> dict[int, dict[str, Any]]:
    """Return the body of every record in the run folder, by the number in its question."""
    bodies = {}
    storage = pipeline.run.storage
    for item in storage.list("shards/"):
        for line in storage.read(item.key).split(b"\n")[:-1]:
            body = json.loads(line)["modelInput"]
            question = body["messages"][0]["content"][-1]["text"]
            bodies[int(question.removeprefix("What is on picture "))] = body
    return bodies


def media_of(block: dict[str, Any]) -> tuple[str, str, bytes]:
    """Return the kind of a content block, its format, and its bytes."""
    if "type" in block:
        source = block["source"]
        assert source["type"] == "base64"
        kind, format_, data = block["type"], source["media_type"], source["data"]
    else:
        ((kind, content),) = block.items()
        format_, data = content["format"], content["source"]["bytes"]
    return kind, format_.rpartition("/")[2], base64.b64decode(data, validate=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_records_hold_the_exact_bytes(spark: SparkSession, bedrock: Start, family: str) -> None:
    """Bytes come from columns and from S3 objects. The service accepts the records and answers."""
    local = bedrock({"quotas": {"min_records": 10}})
    put_objects(local)
    config = make_config(
        f"s3://{BUCKET}/runs/{family}",
        endpoint_url=local.endpoint_url,
        source={"key": ["id"], "columns": ["id"]},
        model=FAMILIES[family],
        request={
            "prompt": "What is on picture {{ id }}",
            "images": ["photo", "scans"],
            "documents": [] if family == "nova" else ["paper"],
        },
    )
    answers = bedrock_spark.run(spark, source(spark), config).collect()
    assert {row["id"]: row["outcome"] for row in answers} == dict.fromkeys(range(ROWS), "ok")
    bodies = bodies_of(Pipeline.open(config))
    assert sorted(bodies) == list(range(ROWS))
    for i, body in bodies.items():
        blocks = body["messages"][0]["content"][:-1]
        images = [("image", ("png", "jpeg", "gif")[i % 3], photo(i))]
        images += [("image", "jpeg", scan(i))] * (i % 3)
        papers = [] if family == "nova" else [("document", "pdf", paper(i))]
        assert [media_of(block) for block in blocks] == images + papers


@pytest.mark.versions
def test_a_custom_body_and_ids_by_content(spark: SparkSession, bedrock: Start) -> None:
    """Without a key, the record id is a hash of the body, which includes the fetched bytes."""
    local = bedrock({"quotas": {"min_records": 10}})
    put_objects(local)
    document = {
        "format": "{{ paper | media_type | replace('application/', '') }}",
        "name": "paper",
        "source": {"bytes": "{{ paper | base64 }}"},
    }
    content = [{"document": document}, {"text": "What is on picture {{ id }}"}]
    config = make_config(
        f"s3://{BUCKET}/runs/own",
        endpoint_url=local.endpoint_url,
        source={"key": [], "columns": ["id"]},
        model=FAMILIES["converse"],
        request={
            "prompt": None,
            "max_tokens": None,
            "body": {"messages": [{"role": "user", "content": content}]},
        },
    )
    pipeline = Pipeline.open(config)
    pipeline.prepare(spark, source(spark))
    assert [
        media_of(b["messages"][0]["content"][0]) for _, b in sorted(bodies_of(pipeline).items())
    ] == [("document", "pdf", paper(i)) for i in range(ROWS)]
    storage = pipeline.run.storage
    for item in storage.list("shards/"):
        for line in storage.read(item.key).split(b"\n")[:-1]:
            body = line.partition(b'"modelInput":')[2].removesuffix(b"}")
            assert json.loads(line)["recordId"] == record_ids.encode(record_ids.body_hash(body))


def test_a_missing_or_unusable_object_rejects_its_row(spark: SparkSession, bedrock: Start) -> None:
    """Other rows pass. The message has column and reason, but no name or content of an object."""
    local = bedrock({"quotas": {"min_records": 1}})
    put_objects(local)
    local.client("s3").put_object(Bucket="pictures", Key="secret.pdf", Body=b"secret")
    papers = [
        "s3://pictures/papers/0",
        "s3://pictures/secret-gone",
        "s3://no-such-bucket/secret",
        "s3://pictures/secret.pdf",
        "/etc/passwd",
        None,
    ]
    df = spark.createDataFrame(list(enumerate(papers)), "id long, paper string")
    config = make_config(
        f"s3://{BUCKET}/runs/rejects",
        endpoint_url=local.endpoint_url,
        source={"columns": ["id"]},
        shards={"min_records": 1},
        request={"prompt": "What is it? {{ id }}", "documents": "paper"},
    )
    rows = bedrock_spark.run(spark, df, config).orderBy("id").collect()
    assert [(row["outcome"], row["error_message"]) for row in rows] == [
        ("ok", None),
        ("rejected", "paper: names an S3 object that is not there (NoSuchKey)"),
        ("rejected", "paper: names an S3 bucket that is not there (NoSuchBucket)"),
        (
            "rejected",
            "paper: is no image or document that is known by its bytes or its extension",
        ),
        ("rejected", "paper: is not the s3:// URI of an object"),
        ("rejected", "paper: is null"),
    ]
