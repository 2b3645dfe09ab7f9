"""What the pages about runs share in one process: readings, indexes and operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, current_app

from bedrock_spark.browse.last_used import LastUsed
from bedrock_spark.browse.opened_runs import OpenedRuns
from bedrock_spark.browse.run_index import RunIndex
from bedrock_spark.ui.current import KEY
from bedrock_spark.ui.looks import Looks, Reading
from bedrock_spark.ui.operations import Operations
from bedrock_spark.ui.settings import UiSettings

_NAME = "bedrock-spark-runs"
_MOST_INDEXES, _MOST_RENDERED = 8, 12


@dataclass(frozen=True)
class Rendered:
    """The parts of a run's page that a reading alone makes, by name."""

    reading: Reading
    parts: Mapping[str, Any]


@dataclass
class Shared:
    """What the pages about runs share.

    opened: the runs whose rows are looked at
    rendered: the parts of the pages of runs
    """

    settings: UiSettings
    looks: Looks
    operations: Operations
    opened: OpenedRuns
    rendered: LastUsed[str, Rendered] = field(default_factory=lambda: LastUsed(_MOST_RENDERED))
    _indexes: LastUsed[str, RunIndex] = field(default_factory=lambda: LastUsed(_MOST_INDEXES))

    def index_of(self, prefix: str) -> RunIndex:
        """Return the index of the runs below a prefix."""
        settings = self.settings
        return self._indexes.make(
            prefix, lambda known: known or RunIndex(prefix, settings.aws, settings.clock)
        )


def share(app: Flask) -> None:
    """Give an app what its pages about runs share."""
    settings: UiSettings = app.config[KEY]
    looks = Looks(settings.aws, settings.clock)
    opened = OpenedRuns(settings.aws, settings.clock)
    app.extensions[_NAME] = Shared(settings, looks, Operations(settings.clock), opened)


def shared(app: Flask | None = None) -> Shared:
    """Return what the pages of an app share; None: that of the current request."""
    found: Shared = (app or current_app).extensions[_NAME]
    return found
