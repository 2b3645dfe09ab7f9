"""A local Amazon Bedrock: batch inference, provisioned throughput, the runtime, and S3.

It implements the service's side and imports nothing from the pipeline (`bedrock_spark`). If both
sides shared code, a mistake in it would be on both sides, and no test would see it.
"""

from bedrock_emulator.local import LocalBedrock

__all__ = ["LocalBedrock"]
