"""Check the bodies that the first rows become by the rules of the linter, before anything is paid.

A placeholder of the config may become any value. So only a rendered body shows a temperature that a
column gives, or a role that the model does not have.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.lint import LintFinding, RenderedLint
from bedrock_spark.families.request_body import body_template
from bedrock_spark.spark.prepare.columns import column_of
from bedrock_spark.spark.prepare.media_batches import open_objects, with_media
from bedrock_spark.spark.prepare.render import ANY_ID, body_of, render_lines

_SAMPLE_ROWS = 20
_SAMPLE = "sample string"
# Types whose values are the same in Python, however they come there.
_PLAIN: dict[type[T.DataType], pa.DataType] = {
    T.StringType: pa.string(),
    T.ByteType: pa.int8(),
    T.ShortType: pa.int16(),
    T.IntegerType: pa.int32(),
    T.LongType: pa.int64(),
    T.FloatType: pa.float32(),
    T.DoubleType: pa.float64(),
    T.BooleanType: pa.bool_(),
}


@dataclass(frozen=True)
class LintRows:
    """Check the first rows of a partition. It may be sent to executors.

    Yields one row with JSON: the number of bodies, and for each fault, rule, place, message and the
    number of bodies that have it.
    """

    config: Config
    aws: AwsSettings

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Read the first batch that has rows, and no other."""
        first = next((batch for batch in batches if batch.num_rows), None)
        if first is not None:
            bodies, faults = self._look(first.slice(0, _SAMPLE_ROWS))
            found = [[f.rule, f.where, f.message, n] for f, n in faults.items()]
            yield pa.RecordBatch.from_pydict({"sample": [json.dumps([bodies, found])]})

    def _look(self, rows: pa.RecordBatch) -> tuple[int, Counter[LintFinding]]:
        faults: Counter[LintFinding] = Counter()
        bodies = 0
        lint = RenderedLint(self.config)
        with open_objects(self.aws) as objects:
            template = body_template(self.config, objects.fetch)
            for batch in with_media(rows, template, objects):
                ids = pa.repeat(ANY_ID, batch.num_rows)
                lines, _ = render_lines(ids, batch, template, self.config.shards.max_bytes)
                for line in lines.drop_null().to_pylist():
                    bodies += 1
                    faults.update(lint(_decoded(line)))
        return bodies, faults


def _decoded(line: bytes) -> dict[str, object]:
    """Return the body of a line; an empty one if Python cannot hold a number in it."""
    try:
        return msgspec.json.decode(body_of(line), type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError):
        return {}


def refuse_sample(
    rows: DataFrame, columns: tuple[str, ...], config: Config, aws: AwsSettings
) -> None:
    """Raise ConfigError if the model would refuse the bodies that the first rows become.

    columns: those that the template reads
    Some rows may be wrong: the share is the canary's. Runs a small Spark action. A row that cannot
    be rendered is not counted.
    """
    if config.batch.lint == "ignore":
        return
    for sample in _samples(rows.select(*map(column_of, columns)), LintRows(config, aws)):
        bodies, found = json.loads(sample)
        faults = [
            f"{where}: {message} (found in {count} of the first {bodies} bodies)"
            for _, where, message, count in found
            if count > config.canary.max_error_share * bodies
        ]
        if faults:
            raise ConfigError(
                "\n".join(
                    f"{fault}. The model {config.model.id} would refuse such records, and say so "
                    "only after the job has run; if this is no longer true, set batch.lint: ignore"
                    for fault in faults
                )
            )


def _samples(rows: DataFrame, lint: LintRows) -> list[str]:
    """Return what `lint` yields for the first rows; nothing if there are none.

    If all columns are plain, this process renders 20 rows. If not, an executor renders those of the
    first partition that has any, in a Python process that Spark ends then, because it has not read
    the partition to its end: the next task starts another, which takes a second.
    """
    kinds = [_PLAIN.get(type(field.dataType)) for field in rows.schema]
    if None in kinds or body_template(lint.config).media:
        return [row[0] for row in rows.mapInArrow(lint, _SAMPLE).take(1)]
    first = rows.take(_SAMPLE_ROWS)
    columns = [pa.array([row[i] for row in first], kind) for i, kind in enumerate(kinds)]
    batch = pa.RecordBatch.from_arrays(columns, names=rows.columns)
    return [text for made in lint(iter([batch])) for text in made.column("sample").to_pylist()]
