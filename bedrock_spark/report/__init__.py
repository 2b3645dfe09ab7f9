"""The report of a run: rows by outcome, reasons, jobs, tokens, cost, and how the run stands."""

from bedrock_spark.report.build import build_report, check_complete, write_report
from bedrock_spark.report.reporter import Reporter
from bedrock_spark.report.totals import Totals, totals_of
from bedrock_spark.report.values import Ending, Report
from bedrock_spark.run_folder.report_shape import Failure

__all__ = [
    "Ending",
    "Failure",
    "Report",
    "Reporter",
    "Totals",
    "build_report",
    "check_complete",
    "totals_of",
    "write_report",
]
