"""The slow imports of every command, done once in the fork server. It starts no thread."""

from __future__ import annotations

import os

import bedrock_spark.cli
import bedrock_spark.spark.collect.stage
import bedrock_spark.spark.fallback.stage
import bedrock_spark.spark.prepare.stage
import bedrock_spark.spark.publish
import bench.chaos.process
from bedrock_spark.aws.clients import AwsSettings, bedrock_client, s3_client

ENDPOINT = "BEDROCK_CHAOS_ENDPOINT"
IMPORTED = (bedrock_spark, bench)

if ENDPOINT in os.environ:  # the clients are made once, too
    aws = AwsSettings("us-east-1", os.environ[ENDPOINT])
    bedrock_client(aws)
    s3_client(aws)
