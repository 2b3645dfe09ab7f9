"""docs/memory.md: the measured figures are below the bounds of the page, and the sums are right."""

from __future__ import annotations

import re

import pytest

from tests.docs import ROOT, table_rows

PAGE = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
STAGES = ("`prepare`", "`collect`", "`fallback`")
MEASURED = list(table_rows(PAGE, ("shard", "records", "bytes of a line", *STAGES)))
# What bench/memory.py has as goals, with the sizes of the shard and of the answers in MB.
BOUNDS = (
    ("450: ", lambda shard, answers: 450),
    ("400: ", lambda shard, answers: 400),
    ("250: ", lambda shard, answers: 250),
)


def test_the_page_has_the_bounds() -> None:
    """One row per stage."""
    rows = list(table_rows(PAGE, ("stage", "a worker needs at most")))
    assert [name for name, _ in rows] == [stage.strip("`") for stage in STAGES]
    for (_, text), (begin, _) in zip(rows, BOUNDS, strict=True):
        assert text.startswith(begin)


@pytest.mark.parametrize("row", MEASURED, ids=lambda row: f"{row[0]}, {row[1]}")
def test_the_measured_figures_are_below_the_bounds(row: list[str]) -> None:
    """Each row is a case of the benchmark."""
    records, line_bytes = (int(cell.replace(",", "")) for cell in row[1:3])
    shard = records * line_bytes / 1e6
    long = re.search(r"answers of ([\d,]+) bytes", row[0])
    answers = records * (int(long[1].replace(",", "")) if long else 400) / 1e6
    assert row[0].startswith(f"{shard:.0f} MB")
    for cell, (_, bound) in zip(row[3:], BOUNDS, strict=True):
        assert 0.4 * bound(shard, answers) < int(cell) < bound(shard, answers)


def test_the_settings_for_four_cores_follow_from_the_rule() -> None:
    """Of a container, heap and overhead are counted together."""
    overhead, heap = 512 + 4 * 768, 4 * 1_024
    assert len(re.findall(rf"{overhead}m\b", PAGE)) == 2
    assert f"{heap + overhead:,} MB" in PAGE
    assert f"{(heap + overhead) / 4 / 1_024:.1f} GB per core" in PAGE


def test_the_default_shards_fit_the_rule() -> None:
    """A worker gets 0.75 GB: enough for every stage, and half as much again for the unexpected."""
    at_most = max(bound(200, 20) for _, bound in BOUNDS)
    assert at_most * 1.5 < 768
