"""Where the lineage of a run is told: a service that takes OpenLineage events."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from bedrock_spark.config.base import Section
from bedrock_spark.config.secrets import holds_secret


def _check_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://, such as http://marquez:5000")
    if holds_secret(value):
        raise ValueError("holds a credential: set the environment variable OPENLINEAGE_API_KEY")
    return value


class OpenLineageConfig(Section):
    """A service that takes OpenLineage events. Nothing is told if there is no `url`."""

    shorthand = "url"

    url: Annotated[str, AfterValidator(_check_url)] | None = None
    endpoint: str = Field(default="api/v1/lineage", min_length=1)
    namespace: str = Field(default="bedrock-spark", min_length=1, max_length=1024)
    job: str | None = Field(default=None, min_length=1, max_length=1024)
    timeout_seconds: float = Field(default=5.0, gt=0, le=60)
