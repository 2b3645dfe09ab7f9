"""Create the jobs that were announced, and note how the service answered.

There are three outcomes, not two: created, refused, unknown. A job of unknown outcome is looked up
by its name before it is requested again, and then under the same name and token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import structs

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
from bedrock_spark.fanout.batch_model_id import batch_model_id
from bedrock_spark.fanout.cost_profiles import CostProfiles
from bedrock_spark.fanout.job_request import create_request
from bedrock_spark.fanout.sweep import Sweep
from bedrock_spark.fanout.targets import Target, target_of
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import JobPlan
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.ledger.events import Event, Submitted
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import Storage, copy_below, copy_object

log = logging.getLogger(__name__)

# Steps in a row; with intervals of up to five minutes between them, more than a day.
_MOST_TROUBLE = 600


@dataclass
class Submitter:
    """Creates announced jobs.

    rejection: the service's rejection of a job, which every further job would meet
    trouble: steps in a row that ended early because the service throttled or did not answer
    refusals: how often there was no free slot
    profiles: the inference profiles of the jobs; None if they name the models themselves
    news: the ARNs that were received, for the next step to write
    """

    run: Run
    clock: Clock
    sweep: Sweep
    renew_lease: Callable[[], None]
    rejection: JobRejectedError | None = None
    trouble: int = 0
    refusals: int = 0
    profiles: CostProfiles | None = None
    news: list[Event] = field(default_factory=list)

    def submit(self, plans: list[JobPlan]) -> None:
        """Create jobs until the service throttles, does not answer, or rejects one.

        A target without a free slot gets no more jobs in this step; that uses up no attempt.
        """
        full: set[str] = set()
        for plan in plans:
            self.renew_lease()
            job = self.sweep.tracker.jobs[plan.job_name]
            target = target_of(self.sweep.targets, job)
            if target.name in full:
                continue
            try:
                self._create(plan, job, target)
            except NoFreeSlotError as exc:
                self._note_refusal(target, exc)
                full.add(target.name)
            except (JobThrottledError, JobStateUnknownError) as exc:
                # The job may exist or not. The next step looks for it before anything else.
                self.note_trouble(exc)
                return
            except JobRejectedError as exc:
                self.rejection = exc
                return
        self.trouble = 0

    def note_trouble(self, error: JobError) -> None:
        """Note that a step ends early. Raises the error after a day of such steps."""
        self.trouble += 1
        log.warning("%s: %s", self.run.run_id, error)
        if self.trouble > _MOST_TROUBLE:
            raise error

    def _create(self, plan: JobPlan, job: Job, target: Target) -> None:
        watermarks = self.sweep.watermarks_of(job)
        request = self._request(plan, target)
        may_exist = watermarks.is_tracked(plan.job_name)
        watermarks.track(plan.job_name)
        try:
            arn = target.jobs.create(request)
        except (NoFreeSlotError, JobRejectedError):
            if not may_exist:
                watermarks.untrack(plan.job_name)
            raise
        except JobNameInUseError:
            self._find_by_name(job, target)
            return
        tracker = self.sweep.tracker
        now = self.clock.now()
        seen_job = SeenJob(arn, plan.job_name, plan.token, "Submitted")
        tracker.update(structs.replace(job, seen=seen_job, known_at=now))
        target.slots.note_created(tracker.active[target.name])
        self.news.append(Submitted(plan.job_name, arn, now))
        log.info("%s %s: submitted as %s", self.run.run_id, plan.job_name, arn)

    def _note_refusal(self, target: Target, error: NoFreeSlotError) -> None:
        active = self.sweep.tracker.active[target.name]
        target.slots.note_refused(active, self.clock.now(), str(error))
        self.refusals += 1
        # Without an active job it is not the ordinary wait for one to end.
        level = logging.WARNING if target.slots.idle_refusals else logging.INFO
        log.log(level, "%s: no slot; %d jobs are active: %s", self.run.run_id, active, error)

    def _request(self, plan: JobPlan, target: Target) -> dict[str, object]:
        """Return the request; if the target's jobs read elsewhere, copy the input there first."""
        uri = self.run.storage.uri
        if target.folder is not None:
            uri = target.folder.uri
            _copy_input(self.run.storage, target.folder, plan.input_key)
        model_id = target.model_id if self.profiles is None else self.profiles.arn_for(target)
        model_id = batch_model_id(model_id, target.region, target.role_arn)
        return create_request(
            self.run.config, uri, plan, model_id, target.role_arn, target.bucket_owner
        )

    def _find_by_name(self, job: Job, target: Target) -> None:
        """Find the job that has this name: an earlier call created it, and its reply was lost."""
        for seen_job in target.jobs.list(job.job_name):
            if seen_job.job_name == job.job_name:
                self.sweep.observe(seen_job, target, self.clock.now())
                return
        self.sweep.note_hidden(job, self.clock.now())


def _copy_input(source: Storage, target: Storage, key: str) -> None:
    """Copy the input of a job, which never changes: one object, or all objects of a folder."""
    if layout.is_folder(key):
        copy_below(source, target, key)
    else:
        copy_object(source, target, key)
