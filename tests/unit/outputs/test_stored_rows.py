"""Rows by unit, of which some were read from a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.outputs.packed_texts import PackedTexts
from bedrock_spark.outputs.stored_rows import StoredRow, StoredRows

UNITS = st.sampled_from("abcdefgh")
ROWS = st.dictionaries(UNITS, st.builds(StoredRow, st.sampled_from("vw"), st.just(b"{}")))
STEPS = st.lists(st.tuples(st.sampled_from(["set", "delete", "move"]), UNITS), max_size=9)


@given(ROWS, STEPS)
def test_rows_of_a_table_are_those_of_a_dict(table: dict[str, StoredRow], steps: object) -> None:
    """Also if they are replaced, deleted, or moved to those that are kept."""
    units = sorted(table)
    texts = PackedTexts(b'"%s"' % unit.encode() for unit in units)
    rows = StoredRows(texts, units, [table[unit].version for unit in units])
    left = {unit: StoredRow(table[unit].version, b'"%s"' % unit.encode()) for unit in units}
    assert rows == left
    assert rows.in_order() is texts  # nothing is packed again
    kept, moved = rows.none(), dict[str, StoredRow]()
    new = StoredRow("new", b"[]")
    for number, (step, unit) in enumerate(steps):  # type: ignore[var-annotated, arg-type]
        if step == "set":
            own = (kept, moved) if number % 2 else (rows, left)
            own[0][unit] = own[1][unit] = new
        elif step == "delete":
            assert rows.pop(unit, None) == left.pop(unit, None)
        elif left.get(unit, new) is not new:
            rows.move(unit, kept)
            moved[unit] = left.pop(unit)
    for found, expected in ((rows, left), (kept, moved)):
        assert found == expected
        assert len(found) == len(expected)
        assert [*found.in_order()] == [expected[unit].reconciled for unit in sorted(expected)]


def test_a_row_that_is_not_there_is_a_key_error() -> None:
    rows = StoredRows()
    with pytest.raises(KeyError):
        rows["a"]
    with pytest.raises(KeyError):
        del rows["a"]
    with pytest.raises(KeyError):
        rows.move("a", rows.none())
