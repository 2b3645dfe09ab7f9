"""The settings an emulator starts with. They never change while it runs; the fault script can."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

ACCOUNT_ID = "123456789012"  # also the account of every bucket moto creates
DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class Timings:
    """How long each status lasts, in emulated seconds.

    Submitted and Validating are those of a recorded CLI session. The rest is fitted to reports of
    500 records in 9 to 25 minutes, and of 1,005 records in 12 minutes.
    """

    submitted: float = 60.0
    validating: float = 180.0
    scheduled: float = 60.0
    in_progress: float = 300.0
    in_progress_per_record: float = 0.3
    stopping: float = 30.0
    provisioning: float = 600.0

    def processing(self, records: int) -> float:
        """Return how many emulated seconds a job of `records` records stays InProgress."""
        return self.in_progress + self.in_progress_per_record * records


@dataclass(frozen=True)
class Settings:
    """Address, clock speed, seed, storage, answer backend and limits of one emulator.

    `max_control_body` and `max_s3_body` are in bytes. `tls` is the file for the certificate, None
    for HTTP.
    """

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
    tls: Path | None = None
    timings: Timings = field(default_factory=Timings)
    max_control_body: int = 1_000_000
    max_s3_body: int = 512 * 1024 * 1024
    # A model unit is a number of tokens per minute, which AWS tells its customers only.
    tokens_per_minute_per_unit: int = 200_000
    max_model_units: int = 100
