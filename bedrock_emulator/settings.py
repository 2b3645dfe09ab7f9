"""What one emulator is started with. Nothing here changes while it runs; faults do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

ACCOUNT_ID = "123456789012"  # also the account of every bucket moto creates
DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class Timings:
    """Emulated seconds. Submitted and Validating as in a recorded CLI session, the rest fitted to
    reports of 500 records in 9 to 25 minutes and 1,005 records in 12."""

    submitted: float = 60.0
    validating: float = 180.0
    scheduled: float = 60.0
    in_progress: float = 300.0
    in_progress_per_record: float = 0.3
    stopping: float = 30.0
    provisioning: float = 600.0

    def processing(self, records: int) -> float:
        """Return how long a job of so many records stays InProgress."""
        return self.in_progress + self.in_progress_per_record * records


@dataclass(frozen=True)
class Settings:
    """How to serve: where, how fast, from which seed, with which models behind it."""

    host: str = "127.0.0.1"
    port: int = 0
    speed: float = 1.0
    seed: int = 7
    region: str = DEFAULT_REGION
    data: Path | None = None
    backend: str = "deterministic"
    backend_url: str | None = None
    backend_model: str | None = None
    s3_endpoint: str | None = None
    event_queue: str | None = None
    timings: Timings = field(default_factory=Timings)
    max_control_body: int = 1_000_000
    max_s3_body: int = 512 * 1024 * 1024
    # Model units are sold by tokens per minute, but their size is told to customers only.
    tokens_per_minute_per_unit: int = 200_000
    max_model_units: int = 100
