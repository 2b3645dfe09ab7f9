"""Decide in each step whether the run is held: nothing more is submitted until a person acts.

A run is held if the service refused a job for a reason that every job would meet, if its jobs
answer nothing (the breaker), or if the account allows no job at all. `stop` holds it, too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from bedrock_spark.aws.model_refusals import with_advice
from bedrock_spark.fanout.breaker import is_tripped, reason_of
from bedrock_spark.fanout.failure_causes import advice_on
from bedrock_spark.fanout.targets import Target
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.run_folder.ledger import BREAKER, NO_SLOTS, REFUSED, Hold, Job, Streak
from bedrock_spark.run_folder.ledger.events import Event, Excused, Held
from bedrock_spark.run_folder.run import Run

QUOTA = (
    "The account's quota of active batch jobs for the model in this Region is most likely 0, as in "
    "new accounts: ask for more in Service Quotas, then run submit or run again"
)

log = logging.getLogger(__name__)


@dataclass
class Holds:
    """What holds a run.

    streak: the last jobs without an answer, for the breaker
    """

    run: Run
    tracker: ShardTracker
    targets: Sequence[Target]
    streak: Streak
    _unanswered: list[str] = field(default_factory=list)

    def note_outcome(self, job: Job) -> None:
        """Note whether a settled job answered anything."""
        self.streak.note(job.job_name, has_answers=job.has_answers)
        if job.has_answers is False:
            self._unanswered.append(job.job_name)

    def end_streak(self) -> None:
        """Forget the jobs without an answer, when somebody resumes the run."""
        self.streak = Streak()

    def look(self, hold: Hold | None, now: float) -> list[Event]:
        """Return the events that hold the run, and excuse the jobs whose failure held it.

        hold: what holds the run already, or None
        """
        news = self._refused(hold, now)
        news += self._break(hold, now, is_held=bool(news))
        return news + self._no_slots(hold, now, is_held=bool(news))

    def _refused(self, hold: Hold | None, now: float) -> list[Event]:
        """Hold the run if a job failed for a reason that every job would meet."""
        if self.tracker.refusal is None or hold is not None:
            return []
        refusal = self.tracker.refusal
        return [Held(REFUSED, with_advice(refusal, advice_on(refusal)), now)]

    def _break(self, hold: Hold | None, now: float, *, is_held: bool) -> list[Event]:
        """Hold the run if its jobs answer nothing.

        is_held: whether this step holds the run because the service refused a job
        While it is held, every further job that answers nothing is excused, too: the cause is most
        likely the same, and its shard is tried again after a resume.
        """
        unanswered, self._unanswered = self._unanswered, []
        if hold is not None:
            if hold.kind not in (BREAKER, REFUSED):
                return []
            is_held = True
        if not is_held and not is_tripped(self.streak, self.tracker):
            return []
        news: list[Event] = []
        if not is_held:
            jobs = [self.tracker.jobs[name] for name in self.streak.job_names]
            reason = reason_of(jobs, self.run.config, self.run.storage)
            log.info("%s: %s", self.run.run_id, reason)
            news.append(Held(BREAKER, reason, now))
        for name in dict.fromkeys([*self.streak.job_names, *unanswered]):
            if not self.tracker.jobs[name].is_excused:
                self.tracker.excuse(name)
                news.append(Excused(name, now))
        return news

    def _no_slots(self, hold: Hold | None, now: float, *, is_held: bool) -> list[Event]:
        """Hold the run if no target allows a job, although no job is active."""
        is_waiting = self.tracker.waiting or self.tracker.open
        is_active = any(self.tracker.active.values())
        if is_held or hold is not None or not is_waiting or is_active:
            return []
        if not all(target.slots.is_closed for target in self.targets):
            return []
        messages = dict.fromkeys(str(target.slots.refusal) for target in self.targets)
        reason = f"no batch job is active, and none is allowed: {'; '.join(messages)}. {QUOTA}"
        log.info("%s: %s", self.run.run_id, reason)
        return [Held(NO_SLOTS, reason, now)]
