"""The configs that the page of rows has open in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask import Flask, current_app

from bedrock_spark.browse.last_used import LastUsed
from bedrock_spark.config import Config
from bedrock_spark.config.row_choice import RowChoice
from bedrock_spark.preview.bench import Bench
from bedrock_spark.preview.edits import Edits
from bedrock_spark.preview.memory import AnswerMemory
from bedrock_spark.preview.options import ROWS
from bedrock_spark.ui.current import KEY
from bedrock_spark.ui.settings import UiSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_NAME = "bedrock-spark-rows"
# The configs that are kept open: each has its rows in memory.
MOST_CONFIGS = 4
# The configs whose changes are kept: each is the text of its file, twice.
MOST_EDITS = 500


@dataclass
class Benches:
    """The open configs, by their names. One whose rows are asked is not closed.

    A config that is closed leaves its changes, and what its calls have cost.

    memory: the answers of all, which outlive a config that is closed
    """

    settings: UiSettings
    memory: AnswerMemory = field(default_factory=AnswerMemory)
    _benches: LastUsed[str, Bench] = field(
        default_factory=lambda: LastUsed(MOST_CONFIGS, lambda bench: not bench.is_asking)
    )
    _edits: LastUsed[str, Edits] = field(default_factory=lambda: LastUsed(MOST_EDITS))

    def of(self, name: str) -> Bench:
        """Return an open config; open it first. Raises ConfigError if it is not valid."""
        return self._benches.make(name, lambda known: known or self._opened(name))

    def opened(self) -> list[Edits]:
        """Return what is known of each config that was opened, the newest first."""
        return self._edits.values()[::-1]

    def _opened(self, name: str) -> Bench:
        settings = self.settings
        return Bench(
            self._edits.make(name, lambda known: _taken_up(name, known)),
            *(settings.aws, settings.clock, _open_spark, settings.allow_calls),
            self.memory,
        )


def _taken_up(name: str, known: Edits | None) -> Edits:
    """Return the changes of a config that is opened again; without any, its file as it is now."""
    if known is None:
        return Edits(name, RowChoice(ROWS))
    if not known.is_changed:
        known.reset()
    return known


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
