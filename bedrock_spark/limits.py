"""Limits of AWS, each with its source.

Quotas differ by model, Region and date: here are defaults, which a config may override. Limits of
the API itself (patterns, lengths) cannot be overridden: a value that breaks one is refused before
anything is paid for.
"""

from __future__ import annotations

import re

KB = 1_000
MB = 1_000_000
GB = 1_000_000_000

# Service quota "Minimum number of records per batch inference job": 100 for most models today.
MIN_RECORDS_PER_JOB = 100
# "Records per input file per batch inference job": 50,000 for most models, 100,000 for some.
MAX_RECORDS_PER_JOB = 50_000
# "Batch inference input file size" is 1 GB. With 200 MB, a failed job loses less, and
# a shard is collected in seconds.
MAX_SHARD_BYTES = 200 * MB
MAX_INPUT_FILE_BYTES = 1 * GB
# "Batch inference job size": the input files of a job together.
MAX_JOB_BYTES = 5 * GB
# No limit of AWS: the names of the files of a shard have two digits.
MAX_FILES_PER_JOB = 100
# No limit of AWS: collect writes all kept columns of a shard to a local disk. They are often the
# prompt and little else, so this is more than twice MAX_SHARD_BYTES.
MAX_SHARD_ROW_BYTES = 512 * MB

# InvokeModel body: botocore service model of bedrock-runtime, InvokeModelRequest.body max.
MAX_BODY_BYTES = 25_000_000

# CreateModelInvocationJob, from botocore's service model of bedrock (api 2023-04-20).
JOB_NAME_MAX = 63
JOB_NAME = re.compile(r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9+\-.]){0,63}")
CLIENT_REQUEST_TOKEN = re.compile(r"[a-zA-Z0-9]{1,256}(-*[a-zA-Z0-9]){0,256}")
S3_URI_MAX = 1024
S3_URI = re.compile(
    r"s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]"
    r"(?:/[-!_*'().a-z0-9A-Z]+(?:/[-!_*'().a-z0-9A-Z]+)*)?/?"
)
# The id of an account, as s3BucketOwner has it: botocore, AccountId.
ACCOUNT_ID = re.compile(r"[0-9]{12}")
# The id of a model, if it is no ARN: one of the forms of `modelId`.
MODEL_ID = re.compile(
    r"[a-z0-9-]{1,63}[.]{1}[a-z0-9-]{1,63}([.]?[a-z0-9-]{1,63})([:][a-z0-9-]{1,63}){0,2}"
)
ROLE_ARN = re.compile(r"arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+")
TIMEOUT_HOURS_MIN = 24
TIMEOUT_HOURS_MAX = 168
TAGS_MAX = 200

PROVISIONED_MODEL_ARN = re.compile(
    r"arn:aws(-[^:]+)?:bedrock:[a-z0-9-]+:[0-9]{12}:provisioned-model/[a-z0-9]{12}"
)
