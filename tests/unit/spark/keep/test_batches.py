"""Spark hands answers to a task in batches of bounded bytes; then its setting is as before."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bedrock_spark.spark.keep import stage


@pytest.mark.parametrize(
    ("size", "rows", "expected"),
    [(0, 0, 32_000_000), (100_000, 1_000, 40_000), (9_000_000, 1_000, 444), (1 << 40, 1, 1)],
)
def test_large_answers_come_in_small_batches(size: int, rows: int, expected: int) -> None:
    assert stage.batch_rows(size, rows) == expected


class Conf(dict[str, Any]):
    """The part of Spark's runtime config that is used here."""

    set = dict.__setitem__


class Session:
    def __init__(self, **values: Any) -> None:
        self.conf = Conf(values)


@pytest.mark.parametrize(
    ("before", "inside"), [("10000", 50), ("50", "50"), ("20", "20"), ("0", 50), ("-1", 50)]
)
def test_the_setting_is_lower_for_the_stage_alone(before: str, inside: int | str) -> None:
    """Also if the stage fails. A lower one of the user stays."""
    name = stage._BATCH_SETTING
    session = Session(**{name: before})
    seen: list[Any] = []

    def fail() -> None:
        with stage._batches_of(cast(Any, session), 50):
            seen.append(session.conf[name])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [inside]
    assert session.conf == {name: before}


def test_a_default_that_is_low_enough_is_not_touched() -> None:
    """Two runs in one session would set it at once."""
    session = Session()
    with stage._batches_of(cast(Any, session), 10_000):
        assert session.conf == {}
