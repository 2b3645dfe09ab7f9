"""What `bedrock-spark ui` was started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.run_folder.stages_file import is_run

_CONFIG_ENDINGS = (".yaml", ".yml", ".json")


class Kind(Enum):
    """What the place is: a folder of runs, a run, or a config."""

    PREFIX = "prefix"
    RUN = "run"
    CONFIG = "config"


@dataclass(frozen=True)
class Place:
    """The argument of the command. name: a URI, or the path of a config."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class UiSettings:
    """What the pages show, and what they may do.

    place: None if the command was started without an argument
    aws: the Region and the endpoint of all calls, where a run or a config names none
    allow_calls: pages may call models, which costs money
    allow_control: pages may stop a run, and go on with it
    """

    place: Place | None = None
    aws: AwsSettings = field(default_factory=AwsSettings)
    allow_calls: bool = False
    allow_control: bool = False
    clock: Clock = field(default_factory=SystemClock)


def place_of(name: str, aws: AwsSettings) -> Place:
    """Tell what an argument names. Raises StorageError if its folder cannot be read."""
    if name.lower().partition("#")[0].endswith(_CONFIG_ENDINGS):
        return Place(name, Kind.CONFIG)
    return Place(name, Kind.RUN if is_run(name, aws) else Kind.PREFIX)
