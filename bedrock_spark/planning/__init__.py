"""What a run would do and cost, before it does anything."""

from bedrock_spark.planning.plan_run import plan
from bedrock_spark.planning.values import Plan

__all__ = ["Plan", "plan"]
