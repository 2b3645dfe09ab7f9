"""Look at the bodies that some rows become by the rules of the linter. Needs no Spark."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.lint import LintFinding, RenderedLint
from bedrock_spark.families.request_body import body_template
from bedrock_spark.spark.prepare.media_batches import open_objects, with_media
from bedrock_spark.spark.prepare.render import ANY_ID, body_of, render_lines

SAMPLE_ROWS = 20


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
            bodies, faults = self._look(first.slice(0, SAMPLE_ROWS))
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


def refuse_found(samples: Iterable[str], config: Config) -> None:
    """Raise ConfigError if the model would refuse the bodies of a sample.

    samples: what LintRows has made
    Some rows may be wrong: the share is the canary's. A row that cannot be rendered is not counted.
    """
    for sample in samples:
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


def refuse_batch(rows: pa.RecordBatch, config: Config, aws: AwsSettings) -> None:
    """Raise ConfigError if the model would refuse the bodies that the first of these rows become.

    rows: the columns that the template reads
    """
    if config.batch.lint == "ignore":
        return
    made = LintRows(config, aws)(iter([rows]))
    refuse_found((text for each in made for text in each.column("sample").to_pylist()), config)
