"""The objects of a ledger: what was written is read, and what was changed is damaged."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.run_folder.ledger.objects import (
    DamagedObjectError,
    decode,
    encode,
    lines_of,
)

VALUES = st.none() | st.integers(0, 2**53) | st.text() | st.lists(st.text(), max_size=3)
EVENT = st.builds(
    lambda kind, more: more | {"event": kind}, st.text(), st.dictionaries(st.text(), VALUES)
)
EVENTS = st.lists(EVENT, min_size=1, max_size=5)  # an object is never empty


@given(EVENTS)
def test_events_are_read_as_they_were_written(events: list[dict[str, object]]) -> None:
    """And no two objects are equal: two controllers may append the same events."""
    data = encode(events)
    assert decode(data) == events == [json.loads(line) for line in lines_of(data)]
    assert encode(events) != data


@given(EVENTS, st.data())
def test_an_object_that_was_cut_or_changed_is_damaged(
    events: list[dict[str, object]], draw: st.DataObject
) -> None:
    data = encode(events)
    body = data[: data[:-1].rindex(b"\n") + 1]
    place = draw.draw(st.integers(0, len(body) - 1))
    changed = bytes([data[place] ^ 1])
    for damaged in (data[:place], data[:place] + changed + data[place + 1 :], b"{}\n" + data):
        for read in (decode, lines_of):
            with pytest.raises(DamagedObjectError):
                read(damaged)


@pytest.mark.parametrize("event", [{"a": 1}, {}, 7, "event", ["event"], None])
def test_lines_that_are_no_events_are_damage(event: object) -> None:
    """Although the checksum fits: another program wrote them."""
    for events in ([event], [{"event": "x"}, event]):
        with pytest.raises(DamagedObjectError):
            decode(encode(events))  # type: ignore[arg-type]


@pytest.mark.parametrize("end", ["{}", "7", "[]", '{"sha256": 1}', "{"])
def test_a_last_line_without_the_checksum_is_damage(end: str) -> None:
    line = json.dumps({"event": "x"})
    with pytest.raises(DamagedObjectError):
        decode(f"{line}\n{end}\n".encode())
