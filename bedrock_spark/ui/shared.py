"""What the pages about runs share in one process: readings, indexes and operations."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, current_app

from bedrock_spark.browse.opened_runs import OpenedRuns
from bedrock_spark.browse.run_index import RunIndex
from bedrock_spark.ui.current import KEY
from bedrock_spark.ui.looks import Looks
from bedrock_spark.ui.operations import Operations
from bedrock_spark.ui.settings import UiSettings

_NAME = "bedrock-spark-runs"
_MOST_INDEXES = 8


@dataclass
class Shared:
    """What the pages about runs share.

    opened: the runs whose rows are looked at
    rendered: by run, its last reading and the parts of the page that were made of it
    """

    settings: UiSettings
    looks: Looks
    operations: Operations
    opened: OpenedRuns
    rendered: dict[str, tuple[object, dict[str, Any]]] = field(default_factory=dict)
    _indexes: OrderedDict[str, RunIndex] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def index_of(self, prefix: str) -> RunIndex:
        """Return the index of the runs below a prefix."""
        with self._lock:
            found = self._indexes.get(prefix)
            if found is None:
                found = RunIndex(prefix, self.settings.aws, self.settings.clock)
                self._indexes[prefix] = found
                while len(self._indexes) > _MOST_INDEXES:
                    self._indexes.popitem(last=False)
            self._indexes.move_to_end(prefix)
            return found


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
