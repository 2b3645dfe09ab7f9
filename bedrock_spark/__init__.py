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

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bedrock_spark._version import __version__

if TYPE_CHECKING:
    from bedrock_spark.browse import open_results, read_results
    from bedrock_spark.comparing import Comparison, compare
    from bedrock_spark.config import Config, parse_config
    from bedrock_spark.config_file import load_config
    from bedrock_spark.errors import BedrockSparkError, RowsWarning
    from bedrock_spark.pipeline import Pipeline
    from bedrock_spark.planning import Plan, plan
    from bedrock_spark.progress import Progress
    from bedrock_spark.report import Report
    from bedrock_spark.whole_run import ask, ask_config, run

__all__ = [
    "BedrockSparkError",
    "Comparison",
    "Config",
    "Pipeline",
    "Plan",
    "Progress",
    "Report",
    "RowsWarning",
    "__version__",
    "ask",
    "ask_config",
    "compare",
    "load_config",
    "open_results",
    "parse_config",
    "plan",
    "read_results",
    "run",
]

# A name is imported when it is first used: whoever needs one module, such as a worker of Spark or
# the completion of a shell, does not wait for all of them (1 s).
_MODULES = {
    "BedrockSparkError": "errors",
    "Comparison": "comparing",
    "Config": "config",
    "Pipeline": "pipeline",
    "Plan": "planning",
    "Progress": "progress",
    "Report": "report",
    "RowsWarning": "errors",
    "ask": "whole_run",
    "ask_config": "whole_run",
    "compare": "comparing",
    "load_config": "config_file",
    "open_results": "browse",
    "parse_config": "config",
    "plan": "planning",
    "read_results": "browse",
    "run": "whole_run",
}

if not TYPE_CHECKING:  # to a type checker, a module with this function would have any name

    def __getattr__(name: str) -> Any:
        """Import a public name. Raises AttributeError for any other."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
