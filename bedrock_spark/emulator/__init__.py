"""A local Amazon Bedrock: batch inference, provisioned throughput, the runtime, and S3.

It is an implementation of the service's side, independent of the pipeline that this package is
for: neither imports the other.
"""

from bedrock_spark.emulator.local import LocalBedrock

__all__ = ["LocalBedrock"]
