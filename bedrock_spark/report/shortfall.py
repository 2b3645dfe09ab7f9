"""What is wrong with the rows of a run that is over, in one sentence."""

from __future__ import annotations

from bedrock_spark.config import Config
from bedrock_spark.outputs.row_limits import RowCounts, shortfall
from bedrock_spark.report.values import Report


def shortfall_of(report: Report, config: Config) -> str | None:
    """Return what is wrong with the rows of a run that is over, with the commonest reasons.

    None if enough rows are answered.
    """
    problem = shortfall(RowCounts(report.rows, report.outcomes, report.unanswered), config)
    if problem is None:
        return None
    text = problem.with_reasons(report.reasons)
    if report.published is not None:
        text += f". The results were published: {report.published}"
    return text
