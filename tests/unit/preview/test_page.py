"""A preview as HTML: all answers are on it, as text, and nothing else is asked for."""

from __future__ import annotations

from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest

from bedrock_spark.planning.values import Count, Money
from bedrock_spark.preview.page import page_html, table_html
from bedrock_spark.preview.values import AnsweredRow, Estimate, Preview, Previewed, Whole

ODD = "<script>alert('x')</script> & \"more\""
COUNT = Count(low=1, likely=2, high=3, how="here")
WHOLE = Whole(
    records=12_345,
    input_tokens=COUNT,
    output_tokens=COUNT,
    images=0,
    cost=Money(low=Decimal(1), likely=Decimal(2), high=Decimal(3)),
)


def side(name: str, **values: Any) -> Previewed:
    rows = (
        AnsweredRow(
            number=1,
            row={"id": ODD},
            request={"prompt": ODD},
            outcome="ok",
            columns={"label": ODD, "score": 0.25},
            cost=Decimal("0.00012"),
            seconds=0.4,
        ),
        AnsweredRow(number=2, row={"id": "T-2"}, outcome="rejected", reason="body is null"),
    )
    return Previewed(
        **{
            "config": name,
            "model_id": "m",
            "columns": ("label", "score"),
            "estimate": Estimate(rows=1, input_tokens=1, low=0, high=1, price="$1"),
            "rows": rows,
            "outcomes": {"ok": 1, "rejected": 1},
            "input_tokens": 7,
            "output_tokens": 8,
            "cost": Decimal("0.00012"),
            "whole": WHOLE,
            "notes": ("a note",),
            **values,
        }
    )


def preview(*sides: Previewed) -> Preview:
    same = 1 if len(sides) > 1 else None
    return Preview(key=("id",), where="id <> ''", previews=sides, same=same, unasked=0)


class Page(HTMLParser):
    """Collects tags, links and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("sides", [1, 2])
def test_the_page_has_every_answer_as_text_and_asks_no_server(sides: int) -> None:
    found = preview(*(side(f"{name}.yaml") for name in "ab"[:sides]))
    html = page_html(found)
    page = Page(html)
    assert "script" not in page.tags
    assert page.links == ["data:,"]  # an icon that needs no request
    assert "url(" not in html
    assert "default-src 'none'" in html
    assert page.text.count(ODD) == 1 + sides  # the key, and each answer
    for text in ("a.yaml", "0.25", "$0.0001", "0.4 s", "body is null", "12,345 rows", "a note"):
        assert text in page.text
    assert ("b.yaml" in page.text) == (sides == 2)
    assert ("1 of 1 answered rows have the same answer" in page.text) == (sides == 2)
    assert page.tags.count("tr") >= 3
    assert "prefers-color-scheme:dark" in html


def test_an_image_of_a_request_is_cut() -> None:
    """The page of a thousand photos can be read; a long text of any language is whole."""
    text = "\u8bf7" * 900
    request = {"messages": [{"image": "iVBORw0KGgo" * 90_000, "text": text, "vector": [0.5] * 99}]}
    row = AnsweredRow(number=1, row={"id": "T-1"}, request=request, outcome="ok", text="Yes.")
    html = page_html(preview(side("a.yaml", rows=(row,))))
    assert len(html) < 20_000
    assert text in html
    assert "characters more" in html
    assert "96 more" in html


def test_a_notebook_shows_the_table() -> None:
    found = preview(side("a.yaml"))
    page = Page(found._repr_html_())
    assert found._repr_html_() == table_html(found)
    assert "script" not in page.tags
    assert page.text.count(ODD) == 2
    assert "12,345 rows" in page.text
