"""A pytest fixture with a local Bedrock, for tests of code that uses batch inference.

pytest finds it by itself if the package is installed:

    def test_my_pipeline(local_bedrock):
        bedrock = local_bedrock.client("bedrock")
        ...
        local_bedrock.advance_clock(24 * 3600)

The emulator starts once per session, with a stopped clock (`speed=0`). Override the fixture
`local_bedrock_options` to start it with other arguments (see `LocalBedrock`). Give the buckets and
jobs of each test their own names: they stay until the session ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bedrock_emulator import LocalBedrock


@pytest.fixture(scope="session")
def local_bedrock_options() -> dict[str, Any]:
    """Return the arguments of the session's `LocalBedrock`; override it to change them."""
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
    """Yield the session's emulator, with the environment variables of AWS pointing to it.

    So SDK clients that the test creates without an endpoint use it too. After the test, the fault
    script of `local_bedrock_options` is set again (an empty script if that is a file), and the
    answer script is emptied.
    """
    for name, value in local_bedrock_process.environment().items():
        monkeypatch.setenv(name, value)
    yield local_bedrock_process
    faults = local_bedrock_options.get("faults")
    local_bedrock_process.set_faults(faults if isinstance(faults, dict) else {})
    local_bedrock_process.set_answers()
