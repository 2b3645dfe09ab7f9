"""Ask for the answers of a few rows before a run is paid for."""

from bedrock_spark.preview.preview_run import preview, render
from bedrock_spark.preview.values import Preview

__all__ = ["Preview", "preview", "render"]
