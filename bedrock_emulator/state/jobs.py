"""Batch jobs as values, and the book they are kept in."""

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
    """The four record counts of a job; zero until it is processed."""

    total: int = 0
    processed: int = 0
    success: int = 0
    error: int = 0


@dataclass(frozen=True)
class Moment:
    """A status a job took and when: what List shows of it with a lag."""

    time: float
    status: str
    message: str
    counts: Counts


@dataclass(frozen=True)
class Job:
    """One batch job. `request` is what its creation said, `rule` what the fault script has for it.

    `records` were found by validation (the public counts stay zero until processing starts), and
    `to_process` is how many of them it comes to when it is ended early.
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
        """Return the job in another status since `at`."""
        ends: dict[str, Any] = {"end_time": at} if status in SETTLED else {}
        job = replace(self, status=status, modified_time=at, **ends, **changes)
        moment = Moment(at, status, job.message, job.counts)
        return replace(job, history=(*job.history, moment))

    def as_seen(self, at: float) -> Job | None:
        """Return the job as it was at `at`, None before it was there (for a List that lags)."""
        seen = [moment for moment in self.history if moment.time <= at]
        if not seen:
            return None
        last = seen[-1]
        return replace(
            self,
            status=last.status,
            message=last.message,
            counts=last.counts,
            modified_time=last.time,
            end_time=last.time if last.status in SETTLED else None,
        )


def job_from_json(body: dict[str, Any]) -> Job:
    """Return the job that `dataclasses.asdict` turned into JSON types."""
    history = tuple(
        Moment(**{**moment, "counts": Counts(**moment["counts"])}) for moment in body["history"]
    )
    return Job(**{**body, "counts": Counts(**body["counts"]), "history": history})


class JobBook:
    """All jobs by id. Changes are atomic, written through to the store and told to listeners."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.RLock()
        self._jobs = {key: job_from_json(body) for key, body in store.documents("job")}
        self._listeners: list[Callable[[Job], None]] = []

    def listen(self, listener: Callable[[Job], None]) -> None:
        """Call `listener` with every job that changed its status."""
        self._listeners.append(listener)

    @property
    def lock(self) -> threading.RLock:
        """Hold it to decide and add in one step (names, tokens and quotas must not race)."""
        return self._lock

    def add(self, job: Job) -> None:
        with self._lock:
            self._keep(job)
        self._tell(job)

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def all(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())

    def move(
        self, job_id: str, expected: frozenset[str], status: str, at: float, **changes: Any
    ) -> Job | None:
        """Move a job to `status` if it is in one of the `expected`; return it as it is then.

        None means that it had already gone elsewhere (stopped, expired), which is no error: the
        event that came too late has nothing to do any more.
        """
        with self._lock:
            job = self._jobs[job_id]
            if job.status not in expected:
                return None
            job = job.moved(status, at, **changes)
            self._keep(job)
        self._tell(job)
        return job

    def _keep(self, job: Job) -> None:
        self._jobs[job.job_id] = job
        self._store.put("job", job.job_id, asdict(job))

    def _tell(self, job: Job) -> None:
        for listener in self._listeners:
            try:
                listener(job)
            except Exception:
                # Events are best effort, on AWS too: a job does not stand still for one.
                log.exception("job %s: a change of its status could not be told", job.job_id)
