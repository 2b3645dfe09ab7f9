"""The command line: `bedrock-spark`."""

from bedrock_spark.cli.commands import main

__all__ = ["main"]
