"""Who is told when a run is done, held or failed."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from bedrock_spark.config.base import Section, one_or_many

_TOPIC = re.compile(r"arn:aws[^:]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]+")

Event = Literal["done", "held", "failed"]


def _words(value: object) -> object:
    """Split a command line into its words, as a shell does."""
    return tuple(shlex.split(value)) if isinstance(value, str) else value


def _check_topic(value: str) -> str:
    if not _TOPIC.fullmatch(value):
        raise ValueError(
            "must be the ARN of an SNS topic, such as arn:aws:sns:us-east-1:123456789012:runs"
        )
    return value


class NotifyConfig(Section):
    """A command, an SNS topic, or both. The command is started without a shell."""

    command: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()
    sns_topic_arn: Annotated[str, AfterValidator(_check_topic)] | None = None
    on: Annotated[tuple[Event, ...], BeforeValidator(one_or_many)] = ("done", "held", "failed")
    timeout_seconds: float = Field(default=30.0, gt=0, le=600)
