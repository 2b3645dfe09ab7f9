"""The report of a run as it is now, for a reader who changes nothing in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bedrock_spark.clock import Clock
from bedrock_spark.report.gather import gather_report, read_known
from bedrock_spark.report.values import UNFINISHED, Ending
from bedrock_spark.run_folder.cleaned import read_cleaned
from bedrock_spark.run_folder.lease import read_holder
from bedrock_spark.run_folder.report_file import read_report
from bedrock_spark.run_folder.run import Run


@dataclass(frozen=True)
class Look:
    """A report as report.json holds it, and whether a process or a batch job is at work."""

    report: Mapping[str, Any]
    goes_on: bool


def look_at(run: Run, clock: Clock) -> Look:
    """Return the last report of a run; if the run goes on, with its jobs and cost as they are now.

    Reads the run folder, and asks AWS for nothing else. Rows are counted by collect, so the rows of
    a run that goes on are those of the last report. Of a run that was cleaned, only that is left.
    """
    if read_cleaned(run.storage) is not None:
        last = read_report(run.storage, run.run_id)
        if last is not None:
            return Look(last, goes_on=False)
    now = clock.now()
    holder = read_holder(run.storage)
    known = read_known(run)
    goes_on = holder is not None and not holder.is_over(now)
    goes_on = goes_on or any(not job.is_settled for job in known.state.jobs.values())
    if known.last is not None and not goes_on:
        return Look(known.last, goes_on=False)
    before = known.last or {"stage": "prepare", "seconds": {}, "models": []}
    ending = Ending(UNFINISHED, before["stage"])
    report = gather_report(run, known, None, before["seconds"], ending, now)
    return Look(replace(report, models=before["models"]).as_json(), goes_on)
