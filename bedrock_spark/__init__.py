"""Ask an Amazon Bedrock model one question per row, by batch inference, on Spark."""

from bedrock_spark._version import __version__

__all__ = ["__version__"]
