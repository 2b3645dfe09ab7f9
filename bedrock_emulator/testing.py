"""pytest fixtures with a local Bedrock, for tests of code that uses batch inference.

pytest finds them by itself if the package is installed:

    def test_my_pipeline(bedrock_run):
        client = boto3.client("bedrock")
        ...
        bedrock_run.advance_clock(24 * 3600)

The emulator starts once per session, with a stopped clock (`speed=0`). Override the fixture
`bedrock_options` to start it with other arguments (see `LocalBedrock`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bedrock_emulator import LocalBedrock


@pytest.fixture(scope="session")
def bedrock_options() -> dict[str, Any]:
    """Return the arguments of the session's `LocalBedrock`; override it to change them."""
    return {"speed": 0.0, "faults": {"quotas": {"min_records": 1}}}


@pytest.fixture(scope="session")
def bedrock(bedrock_options: dict[str, Any]) -> Iterator[LocalBedrock]:
    """Yield the session's emulator. What tests leave in it stays until the session ends."""
    with LocalBedrock(**bedrock_options) as local:
        yield local


@pytest.fixture
def bedrock_run(bedrock: LocalBedrock, monkeypatch: pytest.MonkeyPatch) -> LocalBedrock:
    """Return the session's emulator, empty: no job, bucket, bill or script of another test.

    The environment variables of AWS point to it, so SDK clients that the test creates without an
    endpoint use it, too.
    """
    for name, value in bedrock.environment().items():
        monkeypatch.setenv(name, value)
    bedrock.reset()
    return bedrock
