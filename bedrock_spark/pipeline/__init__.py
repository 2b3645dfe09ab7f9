"""The whole pipeline: the stages of a run, and the order in which `run_all` calls them."""

from __future__ import annotations

from bedrock_spark.pipeline.stages import Pipeline

__all__ = ["Pipeline"]
