"""From how many rows on a stage on Spark is faster than a program on one machine."""

from __future__ import annotations

import pytest

from bench.common.break_even import Line, rows_to_win


def test_a_line_goes_through_both_measurements() -> None:
    line = Line.through((100, 1000), (3.0, 12.0))
    assert (line.start, line.per_row) == pytest.approx((2.0, 0.01))


@pytest.mark.parametrize("times", [2.5, 4, 16])
def test_from_the_rows_on_ours_is_faster_and_before_it_is_not(times: float) -> None:
    ours, peer = Line(3.0, 2e-5), Line(0.5, 1e-5)
    rows = rows_to_win(ours, peer, times)
    assert rows is not None

    def gain(rows: int) -> float:
        return peer.start + rows * peer.per_row - ours.start - rows * ours.per_row / times

    assert gain(rows + 9) > 0 > gain(rows - 9)


@pytest.mark.parametrize("times", [1, 2])
def test_with_too_few_cores_ours_is_never_faster(times: float) -> None:
    assert rows_to_win(Line(3.0, 2e-5), Line(0.5, 1e-5), times) is None


def test_what_starts_faster_and_is_faster_for_each_row_wins_from_the_first() -> None:
    assert rows_to_win(Line(0.1, 1e-5), Line(0.5, 1e-5), 2) == 0
