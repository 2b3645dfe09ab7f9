"""Who else has a say in submitting: a budget, a maintenance window."""

from __future__ import annotations

from typing import Protocol

from bedrock_spark.run_folder.job_plan import JobPlan


class SubmitPolicy(Protocol):
    """Is asked before every submit. What runs goes on to its end, whatever it says."""

    def allows(self, plan: JobPlan, records: int) -> str | None:
        """Return None to let a job of so many records be submitted, or why nothing more may be."""
        ...


class AllowAll:
    """Lets everything be submitted."""

    def allows(self, plan: JobPlan, records: int) -> str | None:
        """Return None."""
        return None
