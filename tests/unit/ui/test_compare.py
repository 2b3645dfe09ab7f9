"""The page that compares two runs."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pyarrow as pa
import pytest
from flask.testing import FlaskClient

from bedrock_spark.comparing import compare_runs
from bedrock_spark.ui.pages import compare as compare_page
from tests.compared_runs import write_run
from tests.unit.fakes import FakeClock
from tests.unit.ui.conftest import ClientOf

TYPES = {"id": pa.int64(), "label": pa.string()}
HOSTILE = "<script>alert('row')</script>"


@pytest.fixture
def client(client_of: ClientOf) -> FlaskClient:
    return client_of(clock=FakeClock())


def two_runs(folder: Path, rows: int = 50) -> dict[str, str]:
    """Write two runs whose labels differ in every other row."""
    for name in "ab":
        made = [
            {
                "id": i,
                "record_id": f"{i:011d}",
                "text": HOSTILE,
                "label": f"{HOSTILE} {name}" if i % 2 else "same",
            }
            for i in range(rows)
        ]
        write_run(folder / name, made, TYPES, parse="label string", shard_rows=20)
    return {name: str(folder / name) for name in "ab"}


def test_without_two_runs_the_page_asks_for_them(client: FlaskClient, tmp_path: Path) -> None:
    for query in ({}, {"a": str(tmp_path)}):
        page = client.get("/compare", query_string=query)
        assert page.status_code == 200
        assert "Name two runs" in page.text


def test_rows_that_differ_are_paged_with_links_to_both_records(
    client: FlaskClient, tmp_path: Path
) -> None:
    query = two_runs(tmp_path)
    seen: list[str] = []
    for number in (1, 2):
        page = client.get("/compare", query_string={**query, "page": number}).text
        seen += re.findall(r"<h3>id = (\d+)</h3>", page)
        assert "25 of 50 rows have the same outcome and label." in page
        assert HOSTILE not in page
        links = [html.unescape(link) for link in re.findall(r'href="(/run/record\?[^"]*)"', page)]
        assert len(links) == 2 * len(re.findall("<h3>", page))
    assert sorted(map(int, seen)) == list(range(1, 50, 2))


def test_a_comparison_is_made_once_until_a_collect_ends(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, made = two_runs(tmp_path), []
    compare = compare_page.compare

    def counted(*args: object, **kwargs: object) -> object:
        made.append(args)
        return compare(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(compare_page, "compare", counted)
    for number in (1, 2, 1):
        client.get("/compare", query_string={**query, "page": number})
    assert len(made) == 1
    (tmp_path / "a" / "reconciliation.jsonl.gz").write_bytes(b"new")
    client.get("/compare", query_string=query)
    assert len(made) == 2


def test_true_values_are_compared(client: FlaskClient, tmp_path: Path) -> None:
    query = two_runs(tmp_path)
    gold = tmp_path / "gold.csv"
    gold.write_text("id,label\n" + "".join(f"{i},same\n" for i in range(10)))
    asked = {"a": query["a"], "gold": str(gold), "gold_column": "label"}
    page = client.get("/compare", query_string=asked).text
    assert "A has an accuracy of 50.0 %" in page
    assert "true value" in page


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"key": "nope"}, "--key nope: the results of"),
        ({"outcome": "fine"}, "--outcome fine: is none of"),
        ({"gold": "x.csv"}, "--gold and --gold-column go together"),
        ({"b": "/no/such/run"}, "/no/such/run"),
    ],
)
def test_a_wrong_query_is_an_error_with_a_sentence(
    client: FlaskClient, tmp_path: Path, query: dict[str, str], said: str
) -> None:
    answer = client.get("/compare", query_string={**two_runs(tmp_path, 4), **query})
    assert answer.status_code == 400
    assert said in html.unescape(answer.text)


def test_more_rows_than_fit_into_memory_name_the_way_with_spark(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_runs, "MOST_ROWS", 3)
    answer = client.get("/compare", query_string=two_runs(tmp_path))
    assert answer.status_code == 400
    assert "can be compared with Spark only: --spark" in answer.text
