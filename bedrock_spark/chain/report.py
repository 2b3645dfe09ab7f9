"""One report of all stages: what each one's report.json says, and what they cost together.

`report.json` and `report.html` in the folder of the stages are written again after each stage.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedrock_spark.chain.budget import spent
from bedrock_spark.report.values import DONE, UNFINISHED
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.report_file import whole_cost
from bedrock_spark.run_folder.report_shape import ReportJson
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

VERSION = 1


@dataclass(frozen=True)
class StageReport:
    """A stage. report: what its report.json has; None if the stage has not begun."""

    name: str
    report: Mapping[str, Any] | None


@dataclass(frozen=True)
class StagesReport:
    """All stages of a config, in their order."""

    run_uri: str
    stages: Sequence[StageReport]

    @property
    def state(self) -> str:
        """Return how the last command left the first stage that is not done."""
        for stage in self.stages:
            if stage.report is None:
                return UNFINISHED
            if stage.report["state"] != DONE:
                return str(stage.report["state"])
        return DONE

    @property
    def cost(self) -> float | None:
        """Return the dollars of all stages; None if the cost of one that has begun is not known."""
        begun = [stage.report for stage in self.stages if stage.report is not None]
        if any(whole_cost(report) is None for report in begun if report["records"]):
            return None
        return float(spent(begun))

    def as_json(self) -> dict[str, Any]:
        """Return the report as report.json in the folder of the stages holds it."""
        return {
            "version": VERSION,
            "run_uri": self.run_uri,
            "state": self.state,
            "cost": self.cost,
            "stages": [
                {"name": stage.name, "report": None if stage.report is None else dict(stage.report)}
                for stage in self.stages
            ],
        }

    def write(self, storage: Storage) -> None:
        """Write report.json and its page. The page is never more important than the run."""
        data = json.dumps(self.as_json(), indent=2, ensure_ascii=False)
        storage.write(layout.REPORT_FILE, data.encode() + b"\n")
        try:
            from bedrock_spark.page import render_stages

            storage.write(layout.REPORT_PAGE, render_stages(self.as_json()).encode())
        except Exception as exc:  # noqa: BLE001 - it only shows what report.json has
            log.warning("%s: report.html could not be written: %r", storage.uri, exc)


@dataclass(frozen=True)
class StageReportJson:
    """A stage by its name, and its report; null if it has not begun."""

    name: str
    report: ReportJson | None


@dataclass(frozen=True)
class StagesReportJson:
    """All stages of a config, as docs/chains.md explains them. cost: dollars of all of them."""

    version: int
    run_uri: str
    state: str
    cost: float | None
    stages: list[StageReportJson]
