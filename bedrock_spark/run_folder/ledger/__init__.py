"""The ledger: an append-only log of the jobs, from which any machine can carry on."""

from bedrock_spark.run_folder.ledger.events import Event, ExtraAttempt
from bedrock_spark.run_folder.ledger.ledger import Ledger
from bedrock_spark.run_folder.ledger.state import Hold, Job, LedgerState

__all__ = ["Event", "ExtraAttempt", "Hold", "Job", "Ledger", "LedgerState"]
