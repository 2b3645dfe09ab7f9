"""A config with stages: its runs one after another, and one report of all of them."""

from bedrock_spark.chain.budget import config_of_run, last_report
from bedrock_spark.chain.report import StageReport, StagesReport, StagesReportJson
from bedrock_spark.chain.run_stages import StageRuns, Stop, leave_to_others

__all__ = [
    "StageReport",
    "StageRuns",
    "StagesReport",
    "StagesReportJson",
    "Stop",
    "config_of_run",
    "last_report",
    "leave_to_others",
]
