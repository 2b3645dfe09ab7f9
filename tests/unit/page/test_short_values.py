"""Images and vectors are cut, and no text that a person wrote."""

from __future__ import annotations

import json

import pytest

from bedrock_spark.page.short_values import shortened, shortened_json

IMAGE = "iVBORw0KGgo" * 500


@pytest.mark.parametrize(
    "value",
    ["word " * 900, "请" * 900, "a" * 200, [1, 2, 3], [{"a": "x"}] * 20, None, 1.5, {"a": []}],
)
def test_what_a_person_wrote_stays_whole(value: object) -> None:
    assert shortened({"a": [value]}) == {"a": [value]}


@pytest.mark.parametrize(
    ("value", "short"),
    [
        (IMAGE, f"{IMAGE[:40]}… 5,460 characters more"),
        ([0.5] * 1_024, [0.5, 0.5, 0.5, "… 1,021 more"]),
    ],
)
def test_images_and_vectors_are_cut_at_any_depth(value: object, short: object) -> None:
    assert shortened({"a": [{"b": value}]}) == {"a": [{"b": short}]}
    assert json.loads(shortened_json(json.dumps({"b": value}).encode())) == {"b": short}


@pytest.mark.parametrize("data", [b"no JSON", b'{"a": ', b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_shown_as_it_is(data: bytes) -> None:
    assert shortened_json(data) == data.decode(errors="replace")
