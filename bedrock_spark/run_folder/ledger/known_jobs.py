"""The jobs of a run by name, and which of them have changed: a sum over jobs costs what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, ValuesView
from typing import Any, Generic, Protocol, Self, TypeVar, overload

from bedrock_spark.run_folder.ledger.state import Job


class _Summable(Protocol):
    def __add__(self, other: Self, /) -> Self: ...
    def __sub__(self, other: Self, /) -> Self: ...


S = TypeVar("S", bound=_Summable)
D = TypeVar("D")


class KnownJobs(Mapping[str, Job]):
    """Every job of a run by name, as it was last seen, and a log of the changes."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._jobs: dict[str, Job] = {job.job_name: job for job in jobs}
        self._changed: list[str] = list(self._jobs)

    def __getitem__(self, name: str) -> Job:
        return self._jobs[name]

    @overload
    def get(self, key: str, /) -> Job | None: ...
    @overload
    def get(self, key: str, /, default: D) -> Job | D: ...
    def get(self, key: str, /, default: Any = None) -> Any:
        """Return a job, or the default if it is not known."""
        return self._jobs.get(key, default)  # that of Mapping raises and catches a KeyError

    def values(self) -> ValuesView[Job]:
        """Return all jobs."""
        return self._jobs.values()

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: Job) -> None:
        """Add a job, or replace what is known of it."""
        self._jobs[job.job_name] = job
        self._changed.append(job.job_name)

    def remove(self, name: str) -> Job:
        """Forget a job and return it. Raises KeyError if it is not known."""
        job = self._jobs.pop(name)
        self._changed.append(name)
        return job

    @property
    def changes(self) -> int:
        """Return the number of changes so far."""
        return len(self._changed)

    def changed_since(self, changes: int) -> set[str]:
        """Return the names of the jobs that changed after the first `changes` changes."""
        return set(self._changed[changes:])


class RunningSum(Generic[S]):
    """A sum over jobs that is kept up to date: a job that changed leaves it and comes in again.

    part: what a single job adds; zero: the sum without jobs
    """

    def __init__(self, part: Callable[[Job], S], zero: S) -> None:
        self._part = part
        self._zero = zero
        self._sum = zero
        self._parts: dict[str, S] = {}
        self._jobs: KnownJobs | None = None
        self._changes = 0

    def over(self, jobs: KnownJobs) -> S:
        """Return the sum over these jobs. It costs what has changed if they are those of before."""
        if jobs is not self._jobs:
            self._sum, self._parts, self._jobs, self._changes = self._zero, {}, jobs, 0
        for name in jobs.changed_since(self._changes):
            before = self._parts.pop(name, None)
            if before is not None:
                self._sum -= before
            if name in jobs:
                self._parts[name] = self._part(jobs[name])
                self._sum += self._parts[name]
        self._changes = jobs.changes
        return self._sum

    def part_of(self, name: str) -> S:
        """Return what a job adds to the sum; zero if it is not in it."""
        return self._parts.get(name, self._zero)
