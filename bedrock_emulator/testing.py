"""A pytest fixture with a local Bedrock, for tests of code that uses batch inference.

pytest finds it by itself if the package is installed:

    def test_my_pipeline(local_bedrock):
        bedrock = local_bedrock.client("bedrock")
        ...
        local_bedrock.advance_clock(24 * 3600)

The emulator is started once per session with its clock standing still (see `LocalBedrock`), and
what it is asked for can be changed by overriding the fixture `local_bedrock_options`. Give each
test names of its own: buckets and jobs stay until the session ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bedrock_emulator import LocalBedrock


@pytest.fixture(scope="session")
def local_bedrock_options() -> dict[str, Any]:
    """Return the arguments the session's emulator is started with; override it to change them."""
    return {"speed": 0.0, "faults": {"quotas": {"min_records": 1}}}


@pytest.fixture(scope="session")
def local_bedrock_process(local_bedrock_options: dict[str, Any]) -> Iterator[LocalBedrock]:
    """Yield the session's emulator."""
    with LocalBedrock(**local_bedrock_options) as local:
        yield local


@pytest.fixture
def local_bedrock(
    local_bedrock_process: LocalBedrock,
    local_bedrock_options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[LocalBedrock]:
    """Yield the session's emulator with the environment pointed to it.

    SDK clients made in the test without an endpoint find it too. A fault script that the test sets
    is taken back afterwards.
    """
    for name, value in local_bedrock_process.environment().items():
        monkeypatch.setenv(name, value)
    yield local_bedrock_process
    faults = local_bedrock_options.get("faults")
    local_bedrock_process.set_faults(faults if isinstance(faults, dict) else {})
