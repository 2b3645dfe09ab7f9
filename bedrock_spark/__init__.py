"""Ask an Amazon Bedrock model one question per row, by batch inference, on Spark.

import bedrock_spark

answers = bedrock_spark.ask(df, "Classify {{ body }}", model=…, role=…, run_uri=…)   # one question

plan = bedrock_spark.plan(spark, df, "conf/tickets.yaml")       # what it would do and cost
answers = bedrock_spark.run(spark, df, "conf/tickets.yaml")     # all of it

pipeline = bedrock_spark.Pipeline.open("conf/tickets.yaml")     # or stage by stage
pipeline.prepare(spark, df)
pipeline.watch()
reconciled = pipeline.fall_back(spark, pipeline.collect(spark))
pipeline.finish(spark, reconciled)
answers = pipeline.results(spark)
"""

from bedrock_spark._version import __version__
from bedrock_spark.browse import open_results, read_results
from bedrock_spark.config import Config, parse_config
from bedrock_spark.config_file import load_config
from bedrock_spark.errors import BedrockSparkError, RowsWarning
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.planning import Plan, plan
from bedrock_spark.progress import Progress
from bedrock_spark.report import Report
from bedrock_spark.whole_run import ask, run

__all__ = [
    "BedrockSparkError",
    "Config",
    "Pipeline",
    "Plan",
    "Progress",
    "Report",
    "RowsWarning",
    "__version__",
    "ask",
    "load_config",
    "open_results",
    "parse_config",
    "plan",
    "read_results",
    "run",
]
