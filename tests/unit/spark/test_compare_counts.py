"""What many tasks of a comparison have counted is added up by fewer tasks, then by the driver."""

from __future__ import annotations

import pyarrow as pa

from bedrock_spark.pairs.compact import compact
from bedrock_spark.pairs.in_memory import tally_in_memory
from bedrock_spark.pairs.sides import Column, Place, Side
from bedrock_spark.pairs.tally import Question
from bedrock_spark.spark.compare import _Count, _Merge, merged

COLUMNS = (Column("label", ("label", "label", None)),)
QUESTIONS = (Question(Place.A, Place.B, (0,), (0,), samples=3),)


def rows_of(first: int) -> list[pa.RecordBatch]:
    """Return the compact rows of some keys in both runs, sorted by key; half of them differ."""
    made = []
    for place, labels in ((Place.A, ["x"] * 8), (Place.B, ["x", "y"] * 4)):
        keys = [str(first + i) for i in range(8)]
        ids = {"id": keys, "outcome": ["ok"] * 8, "record_id": keys}
        batch = pa.RecordBatch.from_pydict({**ids, "label": labels})
        made.append(compact(batch, Side(place, ("id",), COLUMNS, "outcome", "record_id"), 0, first))
    keys_first = [("k1", "ascending"), ("k2", "ascending")]
    return pa.Table.from_batches(made).sort_by(keys_first).to_batches()


def test_the_counts_of_all_tasks_are_those_of_all_rows() -> None:
    """However they are grouped; a task that gets no counts adds nothing."""
    parts = [rows_of(first) for first in range(0, 80, 8)]
    count, merge = _Count(COLUMNS, QUESTIONS), _Merge(QUESTIONS)
    counted = [batch for part in parts for batch in count(iter(part))]
    expected = tally_in_memory([b for part in parts for b in part], COLUMNS, QUESTIONS)
    assert expected[0].paired == 80
    assert len(expected[0].samples) == 3
    for groups in ([counted], [counted[:3], [], counted[3:]], [[each] for each in counted]):
        added = [batch for group in groups for batch in merge(iter(group))]
        assert len(added) == len(groups)
        counts = [each for batch in added for each in batch.column("counts").to_pylist()]
        assert merged(counts, QUESTIONS) == expected
