"""Submit what was announced: create jobs, and take in what the service says to that.

Three outcomes, not two: created, refused, unknown. What is unknown is looked up by name before it
is asked for again, and then under the same name and token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.clock import Clock
from bedrock_spark.errors import (
    JobError,
    JobNameInUseError,
    JobRejectedError,
    JobStateUnknownError,
    JobThrottledError,
    NoFreeSlotError,
)
from bedrock_spark.fanout.job_request import create_request
from bedrock_spark.fanout.sweep import Sweep
from bedrock_spark.fanout.targets import Target
from bedrock_spark.run_folder.job_plan import JobPlan
from bedrock_spark.run_folder.ledger import Event, Job, events
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import copy_object

log = logging.getLogger(__name__)

# Steps in a row; with pauses of up to five minutes between them, more than a day.
_MOST_TROUBLE = 600


@dataclass
class Submitter:
    """Creates announced jobs, and remembers how that went.

    rejection: what the service said to a job that it would refuse again
    trouble: steps in a row that ended early, because the service throttled or did not answer
    refusals: how often there was no free slot
    news: the ARNs that came back, to be written by the next step
    """

    run: Run
    clock: Clock
    sweep: Sweep
    hold_lease: Callable[[], None]
    rejection: JobRejectedError | None = None
    trouble: int = 0
    refusals: int = 0
    news: list[Event] = field(default_factory=list)

    def submit(self, plans: list[JobPlan]) -> None:
        """Create jobs until the service throttles, does not answer, or rejects one.

        A target without a free slot gets no more in this step; no attempt is used up by that.
        """
        full: set[str] = set()
        for plan in plans:
            self.hold_lease()
            job = self.sweep.tracker.jobs[plan.job_name]
            target = self.sweep.target_of(job)
            if target.name in full:
                continue
            try:
                self._create(plan, job, target)
            except NoFreeSlotError:
                self._refused(target)
                full.add(target.name)
            except (JobThrottledError, JobStateUnknownError) as exc:
                # It may or may not exist. The next step looks for it before anything else.
                self.in_trouble(exc)
                return
            except JobRejectedError as exc:
                self.rejection = exc
                return
        self.trouble = 0

    def in_trouble(self, error: JobError) -> None:
        """Note that a step ends early. Raises the error where that has been so for a day."""
        self.trouble += 1
        log.warning("%s: %s", self.run.run_id, error)
        if self.trouble > _MOST_TROUBLE:
            raise error

    def _create(self, plan: JobPlan, job: Job, target: Target) -> None:
        watermarks = self.sweep.watermarks_of(job)
        may_be_there = watermarks.expects(plan.job_name)
        watermarks.expect(plan.job_name)
        try:
            arn = target.jobs.create(self._request(plan, target))
        except (NoFreeSlotError, JobRejectedError):
            if not may_be_there:
                watermarks.forget(plan.job_name)
            raise
        except JobNameInUseError:
            self._look_for(job, target)
            return
        tracker = self.sweep.tracker
        tracker.put(replace(job, seen=SeenJob(arn, plan.job_name, plan.token, "Submitted")))
        target.slots.taken(tracker.active[target.name])
        self.news.append(events.submitted(plan.job_name, arn, self.clock.now()))
        log.info("%s %s: submitted as %s", self.run.run_id, plan.job_name, arn)

    def _refused(self, target: Target) -> None:
        active = self.sweep.tracker.active[target.name]
        target.slots.refuse(active, self.clock.now())
        self.refusals += 1
        log.info("%s: no free slot; %d jobs are active", self.run.run_id, active)

    def _request(self, plan: JobPlan, target: Target) -> dict[str, object]:
        """Return the request; puts the input where the target's jobs read, if that is elsewhere."""
        uri = self.run.storage.uri
        if target.folder is not None:
            uri = target.folder.uri
            copy_object(self.run.storage, target.folder, plan.input_key)
        return create_request(self.run.config, uri, plan, target.model_id, target.role_arn)

    def _look_for(self, job: Job, target: Target) -> None:
        """Find the job that has our name: it is an earlier call's of which no reply came."""
        for found in target.jobs.list(job.job_name):
            if found.job_name == job.job_name:
                self.sweep.take(found, target, self.clock.now())
