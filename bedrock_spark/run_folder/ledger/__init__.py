"""The ledger: an append-only log of the jobs, from which any machine can carry on."""

from bedrock_spark.run_folder.ledger.events import Event, ExtraAttempt, JobTokens
from bedrock_spark.run_folder.ledger.known_jobs import KnownJobs, RunningSum
from bedrock_spark.run_folder.ledger.ledger import Ledger
from bedrock_spark.run_folder.ledger.state import (
    BREAKER,
    NO_SLOTS,
    REFUSED,
    STOPPED_BY_USER,
    Hold,
    Job,
    LedgerState,
    lost_job,
)
from bedrock_spark.run_folder.ledger.streak import Streak

__all__ = [
    "BREAKER",
    "NO_SLOTS",
    "REFUSED",
    "STOPPED_BY_USER",
    "Event",
    "ExtraAttempt",
    "Hold",
    "Job",
    "JobTokens",
    "KnownJobs",
    "Ledger",
    "LedgerState",
    "RunningSum",
    "Streak",
    "lost_job",
]
