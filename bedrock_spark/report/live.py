"""The report of a run as it is now, for a reader who changes nothing in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bedrock_spark.clock import Clock
from bedrock_spark.fanout import jobs_by_status
from bedrock_spark.report.gather import Known, gather_report, read_known
from bedrock_spark.report.values import UNFINISHED, Ending
from bedrock_spark.run_folder.cleaned import read_cleaned
from bedrock_spark.run_folder.lease import Holder, read_holder
from bedrock_spark.run_folder.report_file import read_report
from bedrock_spark.run_folder.report_shape import Failure
from bedrock_spark.run_folder.run import Run


@dataclass(frozen=True)
class Look:
    """A report as report.json holds it, and whether a process or a batch job is at work.

    holder: the process that controls the run now, None if there is none
    known: what the run folder says of the run; None if it was cleaned, so that only the report is
        left
    """

    report: Mapping[str, Any]
    goes_on: bool
    holder: Holder | None = None
    known: Known | None = None


def look_at(run: Run, clock: Clock) -> Look:
    """Return the last report of a run; if jobs have changed since, with jobs and cost as of now.

    Reads the run folder, and asks AWS for nothing else. Rows are counted by collect, so the rows of
    a run that goes on are those of the last report. Of a run that was cleaned, only that is left.
    """
    if read_cleaned(run.storage) is not None:
        last = read_report(run.storage, run.run_id)
        if last is not None:
            return Look(last, goes_on=False)
    now = clock.now()
    holder = read_holder(run.storage)
    if holder is not None and holder.is_over(now):
        holder = None
    known = read_known(run)
    goes_on = holder is not None or any(not job.is_settled for job in known.state.jobs.values())
    if known.last is not None and not goes_on and not _is_behind(known):
        return Look(known.last, goes_on=False, known=known)
    before = known.last or {"stage": "prepare", "seconds": {}, "models": []}
    ending = Ending(UNFINISHED, before["stage"])
    if known.last is not None and not goes_on:
        error = known.last["error"]
        failure = None if error is None else Failure(**error)
        ending = Ending(known.last["state"], known.last["stage"], failure)
    report = gather_report(run, known, None, before["seconds"], ending, now)
    as_json = replace(report, models=before["models"]).as_json()
    return Look(as_json, goes_on, holder, known)


def _is_behind(known: Known) -> bool:
    """Tell whether batch jobs have ended since the last report: its process was killed."""
    last = known.last
    return last is not None and last["jobs"] != jobs_by_status(known.state.jobs)
