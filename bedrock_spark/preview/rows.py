"""The rows of a preview: read by Arrow if it reads the source as Spark does, else by Spark."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.config.row_choice import RowChoice
from bedrock_spark.shards.plan import SourceSize

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from bedrock_spark.spark.prepare.first_rows import FirstRows
    from bedrock_spark.spark.prepare.row_rendering import RenderedRow

log = logging.getLogger(__name__)


class PreviewRows(Protocol):
    """Some rows of a source, all columns. Each config renders them in its own way."""

    def rendered(self, config: Config, *, is_checked: bool = True) -> list[RenderedRow]:
        """Return each row as a config renders it.

        is_checked: whether bodies that the model would refuse are an error, as in prepare
        Raises ConfigError for a column that the source does not have.
        """
        ...

    def size(self, config: Config) -> SourceSize:
        """Estimate the size of the whole source as a config renders it."""
        ...


@dataclass(frozen=True)
class SparkRows:
    """Rows that Spark has read. Its errors are raised as those of this package."""

    first: FirstRows

    def rendered(self, config: Config, *, is_checked: bool = True) -> list[RenderedRow]:
        """Return each row as a config renders it."""
        from bedrock_spark.spark.errors import stage_errors

        with stage_errors("preview"):
            return self.first.rendered(config, is_checked=is_checked)

    def size(self, config: Config) -> SourceSize:
        """Estimate the size of the whole source, which may count its rows."""
        from bedrock_spark.spark.errors import stage_errors

        with stage_errors("preview"):
            return self.first.size(config)


# Uses rows. It may be called again with rows of Spark, if Arrow finds out that Spark is needed.
Use = Callable[[PreviewRows], None]


def use_rows(
    config: Config,
    aws: AwsSettings,
    choice: RowChoice,
    use: Use,
    open_spark: Callable[[str], SparkSession],
) -> PreviewRows:
    """Read some rows of a config's source, hand them to `use`, and return them.

    open_spark: returns a session; it is called with the reason if Arrow may not read the source
    """
    from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError

    why = "pyarrow is not installed"
    if find_spec("pyarrow") is not None:
        from bedrock_spark.spark.by_arrow.file_rows import read_file_rows

        try:
            rows: PreviewRows = read_file_rows(config, aws, choice)
            use(rows)
        except NeedsSparkError as exc:
            why = str(exc)
            log.info("Spark reads the source: %s", why)
        else:
            return rows
    rows = rows_by_spark(open_spark(why), config, aws, choice)
    use(rows)
    return rows


def rows_by_spark(
    spark: SparkSession,
    config: Config,
    aws: AwsSettings,
    choice: RowChoice,
    df: DataFrame | None = None,
) -> SparkRows:
    """Return some rows of a config's source, or of `df` as its source."""
    from bedrock_spark.spark.errors import stage_errors
    from bedrock_spark.spark.prepare.first_rows import read_first_rows

    with stage_errors("preview"):
        return SparkRows(read_first_rows(spark, config, aws, df, choice))
