"""The configs that the page of rows has open in this process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask import Flask, current_app

from bedrock_spark.config import Config
from bedrock_spark.config.row_choice import RowChoice
from bedrock_spark.preview.bench import Bench
from bedrock_spark.preview.options import ROWS
from bedrock_spark.ui.current import KEY
from bedrock_spark.ui.settings import UiSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_NAME = "bedrock-spark-rows"
# The configs that are kept open: each has its rows and its answers in memory.
_MOST = 4


@dataclass
class Benches:
    """The open configs, by their names."""

    settings: UiSettings
    _benches: OrderedDict[str, Bench] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, name: str) -> Bench:
        """Return an open config; open it first. Raises ConfigError if it is not valid."""
        with self._lock:
            found = self._benches.get(name)
            if found is None:
                settings = self.settings
                found = Bench(
                    *(name, settings.aws, settings.clock, _open_spark, settings.allow_calls),
                    RowChoice(ROWS),
                )
                self._benches[name] = found
                self._forget()
            self._benches.move_to_end(name)
            return found

    def _forget(self) -> None:
        """Close the configs that were not used for longest, but none whose rows are asked."""
        for name in list(self._benches)[:-_MOST]:
            if not self._benches[name].is_asking:
                del self._benches[name]


def share_benches(app: Flask) -> None:
    """Give an app its open configs."""
    app.extensions[_NAME] = Benches(app.config[KEY])


def benches() -> Benches:
    """Return the open configs of the current app."""
    found: Benches = current_app.extensions[_NAME]
    return found


def _open_spark(config: Config) -> SparkSession:
    from bedrock_spark.spark.session import spark_session

    return spark_session(config)
