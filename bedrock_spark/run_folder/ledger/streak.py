"""The streak of batch jobs that answered nothing, in the order in which the jobs settled."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Streak:
    """The jobs without an answer since the last job that had one, or since the run was resumed.

    is_proven: whether a job has answered records since the run began or was resumed
    job_names: in the order in which the jobs settled
    """

    is_proven: bool = False
    job_names: list[str] = field(default_factory=list)

    def note(self, job_name: str, *, has_answers: bool | None) -> None:
        """Note a job that has just settled; None: it says nothing about other jobs."""
        if has_answers:
            self.is_proven = True
            self.job_names.clear()
        elif has_answers is not None:
            self.job_names.append(job_name)

    def copy(self) -> Streak:
        """Return a streak that goes on from this one."""
        return Streak(self.is_proven, list(self.job_names))
