"""Which stage a run is in: read from the objects with which its stages commit.

Nothing here grows with the run: a few objects are read, none of them of a single shard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bedrock_spark.config import Config
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.fallback_end import has_fallback_ended, may_fallback_answer
from bedrock_spark.run_folder.published import Publications
from bedrock_spark.run_folder.report_file import WAITING, read_report
from bedrock_spark.run_folder.run import Run

PREPARING, PREPARED, BATCH, BATCH_OVER = "preparing", "prepared", "batch", "batch jobs over"
COLLECTED, FALLING_BACK, PUBLISHED = "collected", "fallback", "published"
CLEANED = "cleaned"


@dataclass(frozen=True)
class Ended:
    """What the stages after the batch jobs have left in the run folder.

    is_collected: whether the answers of all shards were joined to their rows
    asks_fallback: whether a round of the fallback runs, or was killed
    has_fallback_ended: whether it gave up
    places: where the results are published
    report: the content of report.json, None if there is none
    """

    is_collected: bool = False
    asks_fallback: bool = False
    has_fallback_ended: bool = False
    places: tuple[str, ...] = ()
    report: dict[str, Any] | None = None

    @property
    def outcomes(self) -> dict[str, int] | None:
        """Return the rows by outcome, as the report has them; None before rows have one."""
        outcomes = self.report.get("outcomes") if self.report is not None else None
        if not isinstance(outcomes, dict):
            return None
        has_any = any(count for name, count in outcomes.items() if name != WAITING)
        return outcomes if has_any else None

    @property
    def error(self) -> dict[str, Any] | None:
        """Return the error that ended the last command, as the report has it; None without one."""
        error = self.report.get("error") if self.report is not None else None
        return error if isinstance(error, dict) else None

    @property
    def unanswered(self) -> int | None:
        """Return the rows that may still get an answer, as the report has them."""
        if self.report is None or self.outcomes is None:
            return None
        return int(self.report.get("unanswered", 0))


def read_ended(run: Run) -> Ended:
    """Read what the stages after the batch jobs have left."""
    storage = run.storage
    return Ended(
        is_collected=bool(storage.list(layout.RECONCILIATION_FILE)),
        asks_fallback=any(layout.is_task(o.key) for o in storage.list(f"{layout.TASKS}/")),
        has_fallback_ended=has_fallback_ended(storage),
        places=Publications(storage).places(),
        report=read_report(storage, run.run_id),
    )


def stage_of(ended: Ended, *, is_prepared: bool, has_jobs: bool, is_batch_over: bool) -> str:
    """Return the stage of a run: the last one that has left something."""
    if not is_prepared:
        return PREPARING
    if ended.places and is_batch_over:
        return PUBLISHED
    if ended.asks_fallback:
        return FALLING_BACK
    if ended.is_collected and is_batch_over:
        return COLLECTED
    if is_batch_over:
        return BATCH_OVER
    return BATCH if has_jobs else PREPARED


def is_finished(ended: Ended, config: Config, *, is_batch_over: bool) -> bool:
    """Tell whether the same command would find nothing to do."""
    if not is_batch_over or (config.results.place is not None and not ended.places):
        return False
    has_ended = ended.has_fallback_ended
    waits = may_fallback_answer(config, ended.unanswered or 0, has_ended=has_ended)
    return ended.is_collected and not waits
