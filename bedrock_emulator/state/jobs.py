"""Batch jobs as values, and the registry of all jobs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bedrock_emulator.settings import ACCOUNT_ID
from bedrock_emulator.state.store import Store

log = logging.getLogger(__name__)

SETTLED = frozenset({"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"})


@dataclass(frozen=True)
class Counts:
    """The four record counts of a job; zero until processing starts."""

    total: int = 0
    processed: int = 0
    success: int = 0
    error: int = 0


@dataclass(frozen=True)
class Moment:
    """A job's status since `time`, with its message and counts then; a List that lags shows it."""

    time: float
    status: str
    message: str
    counts: Counts


@dataclass(frozen=True)
class Job:
    """One batch job.

    `request` holds the members of its CreateModelInvocationJob call, `rule` the job rule of the
    fault script, as JSON types. `records` is the number of records counted by validation (the
    public counts stay zero until processing starts). `to_process` is the number of records that a
    job had processed when it was stopped; None if it was not processing.
    """

    job_id: str
    region: str
    number: int
    model_arn: str
    base_model_id: str
    request: dict[str, Any]
    submit_time: float
    expiration_time: float
    status: str = "Submitted"
    message: str = ""
    modified_time: float = 0.0
    started_time: float | None = None
    end_time: float | None = None
    counts: Counts = Counts()
    records: int = 0
    to_process: int | None = None
    rule: dict[str, Any] = field(default_factory=dict)
    history: tuple[Moment, ...] = ()

    @property
    def arn(self) -> str:
        return f"arn:aws:bedrock:{self.region}:{ACCOUNT_ID}:model-invocation-job/{self.job_id}"

    @property
    def name(self) -> str:
        return str(self.request["jobName"])

    @property
    def token(self) -> str:
        return str(self.request.get("clientRequestToken", ""))

    @property
    def input_uri(self) -> str:
        return str(self.request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"])

    @property
    def output_uri(self) -> str:
        return str(self.request["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"])

    @property
    def is_converse(self) -> bool:
        return self.request.get("modelInvocationType") == "Converse"

    @property
    def is_settled(self) -> bool:
        return self.status in SETTLED

    def moved(self, status: str, at: float, **changes: Any) -> Job:
        """Return the job with `status` since `at`, which is added to its history."""
        ends: dict[str, Any] = {"end_time": at} if status in SETTLED else {}
        job = replace(self, status=status, modified_time=at, **ends, **changes)
        moment = Moment(at, status, job.message, job.counts)
        return replace(job, history=(*job.history, moment))

    def as_seen(self, at: float) -> Job | None:
        """Return the job as it was at `at`, None if it did not exist yet (for a List that lags)."""
        earlier = [moment for moment in self.history if moment.time <= at]
        if not earlier:
            return None
        last = earlier[-1]
        return replace(
            self,
            status=last.status,
            message=last.message,
            counts=last.counts,
            modified_time=last.time,
            end_time=last.time if last.status in SETTLED else None,
        )


def job_from_json(body: dict[str, Any]) -> Job:
    """Return the job from its `dataclasses.asdict` form, read back from JSON."""
    history = tuple(
        Moment(**{**moment, "counts": Counts(**moment["counts"])}) for moment in body["history"]
    )
    return Job(**{**body, "counts": Counts(**body["counts"]), "history": history})


class JobRegistry:
    """All jobs by id. Each change is atomic, written through to the store and sent to listeners."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.RLock()
        self._jobs = {key: job_from_json(body) for key, body in store.documents("job")}
        self._listeners: list[Callable[[Job], None]] = []

    def listen(self, listener: Callable[[Job], None]) -> None:
        """Call `listener` with each new job, and with each job whose status changes."""
        self._listeners.append(listener)

    @property
    def lock(self) -> threading.RLock:
        """The lock to hold while a new job is checked and added.

        It makes both one step, so that names, tokens and quotas cannot race.
        """
        return self._lock

    def add(self, job: Job) -> None:
        with self._lock:
            self._save(job)
        self._notify(job)

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def all(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())

    def move(
        self, job_id: str, expected: frozenset[str], status: str, at: float, **changes: Any
    ) -> Job | None:
        """Change a job to `status` if its status is in `expected`; return the changed job.

        Returns None if it has another status by now (stopped, expired). That is no error: the event
        came too late, and there is nothing left to do.
        """
        with self._lock:
            job = self._jobs[job_id]
            if job.status not in expected:
                return None
            job = job.moved(status, at, **changes)
            self._save(job)
        self._notify(job)
        return job

    def _save(self, job: Job) -> None:
        self._jobs[job.job_id] = job
        self._store.put("job", job.job_id, asdict(job))

    def _notify(self, job: Job) -> None:
        for listener in self._listeners:
            try:
                listener(job)
            except Exception:
                # Events are best effort, as on AWS: a listener that fails does not stop the job.
                log.exception("job %s: a listener failed on status %s", job.job_id, job.status)
