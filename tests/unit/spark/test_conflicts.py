"""A write that loses to another writer is repeated; recorded errors of Delta Lake and Iceberg."""

from __future__ import annotations

import pytest
from pyspark.errors import PySparkException

from bedrock_spark.spark.conflicts import is_conflict, repeat_on_conflict
from tests.unit.fakes import FakeClock

LOST = (
    "org.apache.iceberg.exceptions.ValidationException: Found conflicting files that can contain "
    "records matching true: [s3://lake/t/data/1.parquet]",
    "java.lang.IllegalStateException: Runtime file filtering is not possible: the table has been "
    "concurrently modified. Row-level operation scan snapshot ID: 1, current table snapshot ID: 2",
    "org.apache.iceberg.exceptions.CommitFailedException: Version 3 already exists",
    "io.delta.exceptions.ConcurrentAppendException: [DELTA_CONCURRENT_APPEND] Files were added",
    "[DELTA_CONCURRENT_APPEND.WITHOUT_HINT] Transaction conflict detected",
)
OTHER = (
    "org.apache.iceberg.exceptions.ValidationException: Cannot set null to non-null column",
    "java.io.IOException: No space left on device",
)


class Writes:
    """Fails with the given errors, one after the other; then it succeeds."""

    def __init__(self, *texts: str) -> None:
        self.errors = [PySparkException(text) for text in texts]
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


def test_a_write_is_repeated_until_it_wins() -> None:
    """It waits longer each time, up to a minute."""
    write, clock = Writes(*LOST, *LOST[:4]), FakeClock()
    repeat_on_conflict(write, clock)
    assert write.calls == 10
    assert clock.waits == [2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_it_gives_up_with_the_last_error() -> None:
    """Somebody writes to the table all the time."""
    write = Writes(*LOST, *LOST, LOST[0])
    with pytest.raises(PySparkException, match="WITHOUT_HINT"):
        repeat_on_conflict(write, FakeClock())
    assert write.calls == 10


@pytest.mark.parametrize("text", OTHER)
def test_any_other_error_is_raised_at_once(text: str) -> None:
    """It would come again."""
    write = Writes(text)
    with pytest.raises(PySparkException):
        repeat_on_conflict(write, FakeClock())
    assert write.calls == 1
    assert not is_conflict(PySparkException(text))
