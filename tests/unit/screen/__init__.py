"""Tests of bedrock_spark/screen."""
