"""The emulator that the tests share. Its clock is stopped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from bedrock_emulator import LocalBedrock

from .kit import Kit
from .preloaded import preloaded_emulators

# As in tests/unit: no test may fail because the machine is slow.
settings.register_profile(
    "emulator", max_examples=80, deadline=None, derandomize=True, database=None
)
settings.load_profile("emulator")


@pytest.fixture(scope="session", autouse=True)
def preloaded() -> Iterator[None]:
    """Start no emulator as a process with imports of its own."""
    with preloaded_emulators():
        yield


@pytest.fixture(scope="session")
def frozen() -> Iterator[LocalBedrock]:
    """Yield an emulator whose time moves only by hand, and in which a job may have one record."""
    with LocalBedrock({"quotas": {"min_records": 1, "active_jobs": 1000}}, speed=0) as local:
        yield local


@pytest.fixture
def kit(frozen: LocalBedrock) -> Iterator[Kit]:
    """Yield a new bucket in the shared emulator; the fault script is reset afterwards."""
    yield Kit.open(frozen)
    frozen.set_faults({"quotas": {"min_records": 1, "active_jobs": 1000}})
