"""Two runs side by side, or a run and true values: what differs, and the rows that differ."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from flask import Blueprint, Flask, current_app, render_template, request, url_for

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.browse.last_used import LastUsed
from bedrock_spark.comparing import Comparison, compare
from bedrock_spark.comparing.tables import (
    closing_sentence,
    shown_answer,
    shown_value,
    tables_of,
)
from bedrock_spark.comparing.values import Example
from bedrock_spark.pairs.sides import OUTCOMES
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import open_storage
from bedrock_spark.ui.current import number_argument, ui_settings

page = Blueprint("compare", __name__)

# The rows that differ: all that are read, and those of one page.
MOST_ROWS, PAGE_ROWS = 1_000, 20
_MOST_KEPT = 4
_NAME = "bedrock-spark-compare"


@dataclass(frozen=True)
class Asked:
    """What is compared; the fields are the parameters of the address.

    key, column: several are separated by commas
    """

    a: str = ""
    b: str = ""
    key: str = ""
    column: str = ""
    outcome: str = ""
    gold: str = ""
    gold_column: str = ""
    gold_key: str = ""

    @property
    def is_enough(self) -> bool:
        """Tell whether there are two runs, or a run and true values."""
        return bool(self.a and (self.b or self.gold))

    def params(self) -> dict[str, str]:
        """Return the parameters that are given."""
        return {name: value for name, value in vars(self).items() if value}

    def compare(self, aws: AwsSettings) -> Comparison:
        """Compare, in memory."""
        return compare(
            self.a,
            self.b or None,
            _listed(self.key),
            _listed(self.column),
            outcomes=[self.outcome] if self.outcome else [],
            samples=MOST_ROWS,
            gold=self.gold or None,
            gold_column=self.gold_column or None,
            gold_key=_listed(self.gold_key),
            region=aws.region,
            endpoint_url=aws.endpoint_url,
        )


class _Comparisons:
    """The last comparisons: the pages of one show the same rows, and are not compared again."""

    def __init__(self) -> None:
        self._known: LastUsed[Asked, tuple[tuple[str, ...], Comparison]] = LastUsed(_MOST_KEPT)
        # One at a time: each takes as much memory as its runs have rows.
        self._at_work = threading.Lock()

    def of(self, asked: Asked, aws: AwsSettings) -> Comparison:
        """Compare, or return the comparison of before if no collect has ended since."""

        def compared(
            known: tuple[tuple[str, ...], Comparison] | None,
        ) -> tuple[tuple[str, ...], Comparison]:
            versions = tuple(_version(uri, aws) for uri in (asked.a, asked.b) if uri)
            # True values may have changed, and nothing tells.
            if known is not None and known[0] == versions and not asked.gold:
                return known
            with self._at_work:
                return versions, asked.compare(aws)

        return self._known.make(asked, compared)[1]


def _remember(app: Flask) -> None:
    app.extensions[_NAME] = _Comparisons()


page.record_once(lambda state: _remember(cast("Flask", state.app)))


@page.get("/compare")
def show() -> str:
    """Show what differs, and a page of the rows that differ."""
    args = request.args
    asked = Asked(**{name: args.get(name, "").strip() for name in vars(Asked())})
    found = None
    if asked.is_enough:
        comparisons: _Comparisons = current_app.extensions[_NAME]
        found = comparisons.of(asked, ui_settings().aws)
    number = max(1, number_argument("page", 1))
    examples = [] if found is None else found.examples
    pages = -(-len(examples) // PAGE_ROWS)
    shown = examples[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]
    return render_template(
        "compare.html",
        asked=asked,
        found=found,
        sentence="" if found is None else _sentence(found),
        tables=[] if found is None else list(tables_of(found)),
        rows=[_shown(asked, each) for each in shown],
        number=number,
        pages=pages,
        all_rows=len(examples),
        is_cut=found is not None and _is_cut(found),
        outcomes=OUTCOMES,
        page_url=partial(_page_url, asked),
    )


@dataclass(frozen=True)
class _Side:
    """One side of a row that differs. record: the address of its record; None if it has none."""

    name: str
    outcome: str
    record: str | None


@dataclass(frozen=True)
class _Row:
    """A row that differs.

    values: of each its name, its text on each side, and whether these differ
    """

    key: str
    sides: tuple[_Side, ...]
    values: tuple[tuple[str, tuple[str, ...], bool], ...]


def _shown(asked: Asked, example: Example) -> _Row:
    pairs = (("A", asked.a, example.a), ("B", asked.b, example.b))
    own = [(name, uri, row) for name, uri, row in pairs if row is not None]
    sides = tuple(
        _Side(name, row.outcome or "", _record_url(uri, row.record_id)) for name, uri, row in own
    )
    key = ", ".join(f"{name} = {shown_value(value)}" for name, value in example.key.items())
    return _Row(key, sides, tuple(_values(example)))


def _values(example: Example) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    rows = [row for row in (example.a, example.b) if row is not None]
    if len(rows) == 1:
        yield "true value", (shown_value(example.truth),), False
    for name in rows[0].values:
        texts = tuple(shown_answer(row, name) for row in rows)
        yield name, texts, len(set(texts)) > 1
    errors = tuple(row.error_message or "" for row in rows)
    if any(errors):
        yield "error", errors, len(set(errors)) > 1


def _record_url(uri: str, record_id: str | None) -> str | None:
    if record_id is None:
        return None
    return url_for("runs.records.show_one", uri=uri, id=record_id)


def _page_url(asked: Asked, number: int) -> str:
    params: dict[str, Any] = {**asked.params(), "page": number}
    return url_for("compare.show", **params)


def _sentence(found: Comparison) -> str:
    sentence = closing_sentence(found)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _is_cut(found: Comparison) -> bool:
    """Tell whether more rows differ than are read."""
    return found.different is not None and found.different.count > len(found.examples)


def _version(uri: str, aws: AwsSettings) -> str:
    """Return the version of what a collect writes last; "" if there is none."""
    key = layout.RECONCILIATIONS_FILE
    return next((o.version for o in open_storage(uri, aws).list(key) if o.key == key), "")


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
