"""The ledger: what was submitted and how it ended, append-only, for any machine to go on from."""

from bedrock_spark.run_folder.ledger.events import Event, ExtraAttempt
from bedrock_spark.run_folder.ledger.ledger import Ledger
from bedrock_spark.run_folder.ledger.state import Hold, Job, LedgerState

__all__ = ["Event", "ExtraAttempt", "Hold", "Job", "Ledger", "LedgerState"]
