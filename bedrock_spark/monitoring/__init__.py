"""What operators' systems get of a run: metrics while it runs, a notification when it ends."""

from bedrock_spark.monitoring.monitor import Monitor

__all__ = ["Monitor"]
