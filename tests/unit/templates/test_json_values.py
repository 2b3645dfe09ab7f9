"""The two forms of a value: as JSON of its own type, and as text inside a sentence."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.templates.json_values import Struct, Unreadable, Unrenderable, as_json, as_text

CET = dt.timezone(dt.timedelta(hours=1))


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (2**63 - 1, "9223372036854775807"),
        (-(2**63), "-9223372036854775808"),
        (0.5, "0.5"),
        (1e22, "1e22"),
        (-0.0, "-0.0"),
        (Decimal("1.10"), "1.10"),
        (Decimal("0E-18"), "0.000000000000000000"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.0000001"), "-0.0000001"),
        (Decimal("9" * 38), "9" * 38),
        ([], "[]"),
        ([1, "a", None], '[1,"a",null]'),
        ((1, 2), "[1,2]"),
        ({}, "{}"),
        ({"a": {"b": None}}, '{"a":{"b":null}}'),
        (Struct(a=None, b=Struct(c=None), d=[None]), '{"b":{},"d":[null]}'),
        ({"s": Struct(a=None, m={"k": None})}, '{"s":{"m":{"k":null}}}'),
        ([Decimal("1.10"), dt.date(2026, 1, 2), b"\xff"], '[1.10,"2026-01-02","/w=="]'),
        ({7: 1, True: 2, dt.date(2026, 1, 2): 3}, '{"7":1,"true":2,"2026-01-02":3}'),
        ({Decimal("1.50"): 1, b"\x00": 2}, '{"1.50":1,"AA==":2}'),
        ({(1, 2): "a list as a key"}, '{"[1,2]":"a list as a key"}'),
    ],
)
def test_a_value_that_is_not_text_has_the_same_two_forms(value: Any, form: str) -> None:
    """Both forms are written as in JSON."""
    assert as_json(value).decode() == form
    assert as_text(value) == form


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        ('a "b"\n', 'a "b"\n'),
        (b"\x00\xff", "AP8="),
        (bytearray(b"\x00\xff"), "AP8="),
        (memoryview(b"\x00\xff"), "AP8="),
        (dt.date(1, 1, 1), "0001-01-01"),
        (dt.time(1, 2, 3), "01:02:03"),
        (dt.datetime(2026, 11, 5, 1, 2, 3), "2026-11-05T01:02:03"),
        (dt.datetime(2026, 11, 5, 1, 2, 3, 4), "2026-11-05T01:02:03.000004"),
        (dt.datetime(2026, 11, 5, 1, 2, 3, tzinfo=dt.UTC), "2026-11-05T01:02:03Z"),
        (dt.datetime(2026, 11, 5, 0, 30, tzinfo=CET), "2026-11-04T23:30:00Z"),
        (dt.timedelta(0), "PT0S"),
        (dt.timedelta(days=3), "P3D"),
        (dt.timedelta(hours=25, minutes=1), "P1DT1H1M"),
        (dt.timedelta(microseconds=10), "PT0.00001S"),
        (dt.timedelta(days=-1, hours=-2), "-P1DT2H"),
        (dt.timedelta(days=106_751_991), "P106751991D"),
    ],
)
def test_a_value_that_is_text_in_json_has_the_same_text_form(value: Any, text: str) -> None:
    """JSON has quotes around the text, a sentence does not."""
    assert json.loads(as_json(value)) == text
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "is not a finite number, which JSON cannot hold"),
        ([{"a": (1, -math.inf)}], "is not a finite number, which JSON cannot hold"),
        ({math.nan: 1}, "is not a finite number, which JSON cannot hold"),
        (Decimal("NaN"), "is not a finite number, which JSON cannot hold"),
        ({None: 1}, "is null"),
        (["half \ud83d"], "is not valid UTF-8 text"),
        ({"half \ud83d": 1}, "is not valid UTF-8 text"),
        ([Unreadable("is what it is")], "is what it is"),
    ],
)
def test_a_value_without_a_form_gives_the_reason(value: Any, reason: str) -> None:
    """In both forms. The reason does not show the value."""
    for render in (as_json, as_text):
        with pytest.raises(Unrenderable) as caught:
            render(value)
        assert str(caught.value) == reason


def test_null_is_a_value_in_json_only() -> None:
    """A null has no text form."""
    assert as_json(None) == b"null"
    with pytest.raises(Unrenderable, match=r"^is null$"):
        as_text(None)


def test_an_unknown_type_is_an_error() -> None:
    """It is not written in Python's own form."""
    with pytest.raises(TypeError, match=r"^a object has no JSON form"):
        as_text(object())


@given(st.binary())
def test_bytes_can_be_decoded(data: bytes) -> None:
    """The text form is base64 with padding."""
    assert base64.b64decode(as_text(data), validate=True) == data


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18))
def test_decimals_keep_every_digit(value: Decimal) -> None:
    """With any scale, and without an exponent."""
    written = json.loads(as_json(value), parse_float=Decimal, parse_int=Decimal)
    assert (written, "e" in as_text(value).lower()) == (value, False)


@given(st.datetimes(timezones=st.timezones()))
def test_timestamps_are_the_same_moment(value: dt.datetime) -> None:
    """They are written in UTC, from any time zone."""
    try:
        utc = value.astimezone(dt.UTC)
    except OverflowError:
        return  # outside the years of Python; timestamps from Arrow are already in UTC
    assert as_text(value).endswith("Z")
    assert dt.datetime.fromisoformat(as_text(value)) == utc


@given(st.timedeltas())
def test_intervals_add_up(value: dt.timedelta) -> None:
    """The parts of the duration add up to the interval."""
    text = as_text(value)
    days, _, rest = text.lstrip("-").removeprefix("P").rpartition("T" if "T" in text else "$")
    if "T" not in text:
        days, rest = rest, ""
    seconds = 0.0
    for unit, size in (("H", 3600), ("M", 60), ("S", 1)):
        number, is_present, after = rest.partition(unit)
        if is_present:
            seconds, rest = seconds + float(number) * size, after
    total = dt.timedelta(days=int(days.rstrip("D") or 0), seconds=seconds)
    assert (-total if text.startswith("-") else total) == value
