"""The page of the runs below a prefix."""

from __future__ import annotations

import re
from pathlib import Path

from bedrock_spark.browse.run_index import ORDERS
from bedrock_spark.page.words import number
from bedrock_spark.report.values import STATES as REPORT_STATES
from bedrock_spark.run_folder.lease import Lease
from bedrock_spark.storage import LocalStorage
from bedrock_spark.ui.pages.runs import STATES
from bedrock_spark.ui.settings import Kind, Place
from tests.unit.browse.test_run_index import write_run
from tests.unit.fakes import FakeClock
from tests.unit.ui.conftest import ClientOf


def runs_on(page: str) -> list[str]:
    """Return the names of the runs on a page, from its links."""
    return re.findall(r'href="/run\?uri=[^"]*">([^<]*)</a>', page)


def test_runs_are_paged_and_filtered(client_of: ClientOf, tmp_path: Path) -> None:
    for each in range(70):
        write_run(tmp_path / f"r{each:02d}", each, state="held" if each % 30 == 7 else "done")
    client = client_of(clock=FakeClock())
    prefix = str(tmp_path)
    first = client.get("/", query_string={"prefix": prefix}).text
    assert "70 runs, page 1 of 2." in first
    assert runs_on(first) == [f"r{each:02d}" for each in range(69, 19, -1)]
    (following,) = re.findall(r'rel="next" href="([^"]*)"', first)
    second = client.get(following.replace("&amp;", "&")).text
    assert runs_on(second) == [f"r{each:02d}" for each in range(19, -1, -1)]
    held = client.get("/", query_string={"prefix": prefix, "state": "held", "sort": "name"}).text
    assert "3 runs of 70." in held
    assert runs_on(held) == ["r07", "r37", "r67"]
    found = client.get("/", query_string={"prefix": prefix, "text": "R4"}).text
    assert len(runs_on(found)) == 10


def test_every_state_of_a_report_can_be_chosen_and_is_explained() -> None:
    assert set(REPORT_STATES) < set(STATES)


def test_a_wrong_query_is_an_error_with_a_sentence(client_of: ClientOf, tmp_path: Path) -> None:
    client = client_of()
    for query, words in (
        ({"sort": "color"}, f"sort=color: runs can be sorted by {ORDERS[0]}"),
        ({"page": "many"}, "is not a number"),
    ):
        answer = client.get("/", query_string={"prefix": str(tmp_path), **query})
        assert answer.status_code == 400
        assert words in answer.text


def test_a_run_of_the_command_line_is_the_first_page(client_of: ClientOf, tmp_path: Path) -> None:
    answer = client_of(place=Place(str(tmp_path), Kind.RUN)).get("/")
    assert answer.status_code == 302
    assert answer.location.startswith("/run?uri=")


def test_a_run_that_cannot_be_read_is_shown_as_that(client_of: ClientOf, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("[")
    page = client_of().get("/", query_string={"prefix": str(tmp_path)}).text
    assert "run.json is damaged" in page
    assert runs_on(page) == []


def test_numbers_of_a_run_are_those_of_its_report(client_of: ClientOf, tmp_path: Path) -> None:
    write_run(tmp_path / "a", 12_345, outcomes={"ok": 12_000}, cost={"total": 3.5}, state="failed")
    page = client_of().get("/", query_string={"prefix": str(tmp_path)}).text
    for text in (number(12_345), "97.2 %", "$3.5000", "failed", "model-0"):
        assert text in page


def test_the_list_stays_up_to_date(client_of: ClientOf, tmp_path: Path) -> None:
    """A browser gets it again only if it has changed, and by the query of its page."""
    for each in range(3):
        write_run(tmp_path / f"r{each}", each, state="done")
    clock = FakeClock()
    client = client_of(clock=clock)
    query = {"prefix": str(tmp_path), "sort": "name"}
    page = client.get("/", query_string=query).text
    (live,) = re.findall(r'data-live="([^"]*)"', page)
    (digest,) = re.findall(r'data-digest="([^"]*)"', page)
    address = f"{live.replace('&amp;', '&')}&have=list:{digest}"
    assert client.get(address).json["parts"] == {}
    write_run(tmp_path / "a", 9)
    clock.sleep(60)
    news = client.get(address).json
    assert runs_on(news["parts"]["list"]["html"]) == ["a", "r0", "r1", "r2"]
    assert news["seconds"] == 30
    with Lease(LocalStorage(str(tmp_path / "r1")), clock):
        news = client.get(address).json
    assert news["seconds"] == 5
    assert "goes on" in news["parts"]["list"]["html"]
