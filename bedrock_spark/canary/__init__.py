"""The canary: a few records are sent to the model before the first batch job is paid for."""

from bedrock_spark.canary.ask import ask_canary, is_canary_due

__all__ = ["ask_canary", "is_canary_due"]
