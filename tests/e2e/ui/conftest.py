"""`bedrock-spark ui` as a user starts it, and a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium

pytest.register_assert_rewrite("tests.e2e.ui.checks")

# Starts the command; its arguments follow. Returns the printed address.
Serve = Callable[..., str]


@pytest.fixture(autouse=True, scope="session")
def _session_before_commands() -> None:
    """Start no Spark session: the command runs in a process of its own."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts the command and returns the address that it prints."""
    started: list[subprocess.Popen[str]] = []
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "us-east-1",
    }

    def start(*arguments: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "bedrock_spark", "ui", *arguments, "--no-open"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        started.append(process)
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), (address, process.poll())
        return address

    yield start
    for process in started:
        process.terminate()
        assert process.wait(timeout=60) == 0
        if process.stdout is not None:
            process.stdout.close()
