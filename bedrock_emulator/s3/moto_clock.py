"""Lets moto's S3 take the dates of buckets and objects from the emulator's clock.

Otherwise a job that ended in emulated time would have output of another day.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bedrock_emulator.state.clock import Clock, as_datetime


def use_clock(clock: Clock) -> None:
    """Use this clock from now on, in place of the functions that moto.s3.models (5.2) calls."""
    import moto.s3.models

    models: Any = moto.s3.models
    bucket_type = models.FakeBucket
    create = getattr(bucket_type.__init__, "creates", bucket_type.__init__)

    def utcnow() -> datetime:
        return as_datetime(clock.now()).replace(tzinfo=None)

    def create_now(bucket: Any, *args: Any, **kwargs: Any) -> None:
        create(bucket, *args, **kwargs)
        bucket.creation_date = as_datetime(clock.now())

    create_now.creates = create  # type: ignore[attr-defined]
    models.utcnow = utcnow
    bucket_type.__init__ = create_now
