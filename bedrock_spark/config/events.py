"""The queue for events about batch jobs."""

from __future__ import annotations

from pydantic import Field

from bedrock_spark.config.base import Section


class EventsConfig(Section):
    """An SQS queue into which an EventBridge rule puts the changes of batch jobs' statuses."""

    queue_url: str | None = Field(default=None, min_length=1, max_length=2048)
