"""A local Amazon Bedrock: batch inference, provisioned throughput, the runtime, and S3.

It implements the service's side, and imports nothing of the pipeline (`bedrock_spark`): a mistake
in shared code would hide itself, because both sides would make it.
"""

from bedrock_emulator.local import LocalBedrock

__all__ = ["LocalBedrock"]
