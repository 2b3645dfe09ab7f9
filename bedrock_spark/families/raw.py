"""No family: the body is the user's own, and the answer is kept as JSON without being read."""

from __future__ import annotations

from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.base import Answer, Family, Json


def build(request: RequestConfig) -> dict[str, Any]:
    """Refuse: without a family there is no telling where a prompt goes."""
    raise ConfigError("request.prompt: model.family raw has no body of its own; use request.body")


def read(output: Json) -> Answer:
    """Return nothing but what is in the raw column anyway."""
    return Answer()


FAMILY = Family("raw", None, build, read)
