"""The whole pipeline as one call, for notebooks and programs."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from bedrock_spark.config.load import AnyConfig
from bedrock_spark.errors import RowsWarning
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.report.shortfall import shortfall_of
from bedrock_spark.screen import automatic_screen

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def run(
    spark: SparkSession,
    df: DataFrame | None,
    config: AnyConfig,
    observe: Observer | bool | None = True,
) -> DataFrame:
    """Ask the model one question per row of `df`, or of the config's source if `df` is None.

    Returns one row per source row: the kept source columns, then record_id, outcome, text and the
    other result columns. Runs every stage that is not done yet, and waits for the batch jobs,
    usually for hours. Raises a BedrockSparkError. Then every answer that was paid for is kept, and
    the same call continues the run from there.

    observe: is called with the progress. True shows it, in a notebook on stdout, else on stderr;
        False or None shows nothing
    Warns (RowsWarning) if more rows were rejected or failed than the limits of the config allow.
    """
    with automatic_screen(observe is True) as screen:
        observer = observe if callable(observe) else screen or ignore_progress
        pipeline = Pipeline.open(config, observe=observer)
        report = pipeline.run_all(spark, df)
    problem = shortfall_of(report, pipeline.run.config)
    if problem is not None:
        warnings.warn(problem, RowsWarning, stacklevel=2)
    return pipeline.results(spark)
