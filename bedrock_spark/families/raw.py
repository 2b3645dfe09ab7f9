"""No family: the user writes the body, and the answer is kept as JSON without being read."""

from __future__ import annotations

from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.base import Answer, Family
from bedrock_spark.families.json_members import Json


def build(request: RequestConfig) -> dict[str, Any]:
    """Raise ConfigError: without a family, the place of a prompt in the body is unknown."""
    raise ConfigError("request.prompt: model.family raw has no body of its own; use request.body")


def read(output: Json) -> Answer:
    """Return no parts: the raw column holds the whole answer."""
    return Answer()


FAMILY = Family("raw", None, build, read, reads_answers=False)
