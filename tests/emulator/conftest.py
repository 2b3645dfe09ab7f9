"""Emulators with a clock that stands still, shared by the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bedrock_emulator import LocalBedrock

from .kit import Kit


@pytest.fixture(scope="session")
def frozen() -> Iterator[LocalBedrock]:
    """Yield an emulator in which time moves by hand only, and jobs may be small."""
    with LocalBedrock({"quotas": {"min_records": 1, "active_jobs": 1000}}, speed=0) as local:
        yield local


@pytest.fixture
def kit(frozen: LocalBedrock) -> Iterator[Kit]:
    """Yield a new bucket in the shared emulator; a fault script is taken back afterwards."""
    yield Kit.open(frozen)
    frozen.set_faults({"quotas": {"min_records": 1, "active_jobs": 1000}})
