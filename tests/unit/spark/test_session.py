"""A session that cannot be started says why."""

from __future__ import annotations

from bedrock_spark.errors import ConfigError
from bedrock_spark.spark import session


def test_packages_that_cannot_be_fetched() -> None:
    """The error names them and says what to do; Java is not to blame."""
    lines = [
        ":: problems summary ::",
        "\t\t:: UNRESOLVED",
        "\tunresolved dependency: a#b;1: not found",
    ]
    error = session._not_started(lines)
    assert isinstance(error, ConfigError)
    assert "a#b;1" in str(error)
    assert "JAVA_HOME" not in str(error)


def test_java_that_does_not_start() -> None:
    """The error quotes Java's first complaint."""
    message = str(session._not_started(["x", "Error: could not find main class", "at y"]))
    assert "JAVA_HOME" in message
    assert "could not find main class" in message
