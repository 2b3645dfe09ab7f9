"""The Python API: a DataFrame and a config in, a DataFrame out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bedrock_spark.pipeline import AnyConfig, Pipeline
from bedrock_spark.progress import Observer, unobserved

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def run(
    spark: SparkSession,
    df: DataFrame | None,
    config: AnyConfig,
    observe: Observer = unobserved,
) -> DataFrame:
    """Ask the model one question per row of `df`, or of the config's source where it is None.

    Returns one row per source row: the source columns kept, then record_id, outcome, text and the
    other result columns. Runs every stage that the run folder still lacks, and waits for the batch
    jobs: hours, as a rule. Raises a BedrockSparkError; whatever was paid for by then is kept, and
    the same call carries on from there.
    """
    pipeline = Pipeline.open(config, observe=observe)
    pipeline.run_all(spark, df)
    return pipeline.results(spark)
