"""All stages of a config as a table: one line for each."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bedrock_spark.chain import StagesReport
from bedrock_spark.costs.tokens import dollars


def stages_table(report: StagesReport) -> list[tuple[str, str]]:
    """Return names and values: each stage in order, then what they cost together."""
    rows = [(stage.name, _stage(stage.report)) for stage in report.stages]
    if report.cost is not None:
        rows.append(("cost", f"{dollars(Decimal(str(report.cost)))} of all stages"))
    return [*rows, ("run folder", report.run_uri)]


def _stage(report: Mapping[str, Any] | None) -> str:
    if report is None:
        return "not begun"
    counts = (f"{count:,} {name}" for name, count in report["outcomes"].items() if count)
    rows = f"{report['rows']:,} rows: {', '.join(counts)}" if report["rows"] else "no rows"
    cost = report["cost"]
    paid = f"; {dollars(Decimal(str(cost['total'])))}" if cost is not None else ""
    paid += "".join(f", {name} not known" for name in report["unpriced"]) if paid else ""
    return f"{report['state']}; {report['model_id']}; {rows}{paid}"
