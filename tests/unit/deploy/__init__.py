"""Tests of bedrock_spark/cli."""
