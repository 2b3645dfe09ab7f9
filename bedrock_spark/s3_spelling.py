"""The spellings of S3: `s3a://` and `s3n://` are taken as `s3://`.

They are names of Hadoop's clients for one store
(https://hadoop.apache.org/docs/stable/hadoop-aws/tools/hadoop-aws/index.html). This package reads
S3 through boto3, and Bedrock takes `s3://` only.
"""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

SCHEMES = ("s3", "s3a", "s3n")
_OTHERS = tuple(f"{scheme}://" for scheme in SCHEMES[1:])
# What this process has said, so that each URI is named once.
_said: set[str] = set()


def as_s3(uri: str) -> str:
    """Return an `s3a://` or `s3n://` URI as `s3://`, and log that once; others unchanged."""
    same = same_s3(uri)
    if same != uri and uri not in _said:
        _said.add(uri)
        log.warning("%s is taken as %s: this package reads S3 without Hadoop", uri, same)
    return same


def same_s3(uri: str) -> str:
    """Return an `s3a://` or `s3n://` URI as `s3://`; others unchanged."""
    return f"s3://{uri.partition('://')[2]}" if uri.startswith(_OTHERS) else uri
