"""Set up all tests: no real AWS, none of the user's credentials, and a small JVM for Spark."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.forked_emulator import BedrockServer

_FAKE = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
for _name in [n for n in os.environ if n.startswith("AWS_")]:
    del os.environ[_name]
os.environ.update(_FAKE)
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
# The JVMs of tests are short-lived: the C2 compiler and the parallel garbage collector would cost
# more time than they save.
os.environ["SPARK_SUBMIT_OPTS"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


# A shell starts background jobs with SIGINT ignored, and child processes inherit that. Tests of
# Ctrl-C need the default handler.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def bedrock_server() -> Iterator[BedrockServer]:
    """Return the fork server, which serves one local Bedrock at a time."""
    server = BedrockServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Restore the level of the log: a command with `--quiet` would silence all later tests."""
    logger = logging.getLogger("bedrock_spark")
    level = logger.level
    yield
    logger.setLevel(level)
