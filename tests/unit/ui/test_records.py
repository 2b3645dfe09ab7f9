"""The pages of rows and of one record, and what is filtered as CSV."""

from __future__ import annotations

import csv
import html
import io
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from bedrock_spark.browse import opened_runs
from bedrock_spark.browse.opened_runs import OpenedRun, OpenedRuns
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.run import Run
from bedrock_spark.shards.record_ids import record_id
from tests.unit.browse.run_of_rows import REJECTS, row, shard, write_run
from tests.unit.browse.test_show import IDS, SHARD, run  # noqa: F401 - the fixture
from tests.unit.fakes import FakeClock
from tests.unit.ui.conftest import ClientOf

HOSTILE = "<script>alert('row')</script>"


@pytest.fixture
def client(client_of: ClientOf) -> FlaskClient:
    return client_of(clock=FakeClock())


def page_of(client: FlaskClient, uri: object, path: str = "/run/records", **query: Any) -> str:
    answer = client.get(path, query_string={"uri": str(uri), **query}, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return answer.text


def tickets_on(page: str) -> list[int]:
    """Return the tickets in the table of rows."""
    return [int(number) for number in re.findall(r'<td class="cell">T-(\d+)</td>', page)]


def link(page: str, text: str) -> str:
    """Return where the link with a text leads."""
    (found,) = re.findall(rf'<a[^>]* href="([^"]*)"[^>]*>{text}</a>', page)
    return html.unescape(found)


def many(shards: int, rows: int) -> dict[str, list[dict[str, Any]]]:
    return {
        shard(i): [row(i * rows + n, label=f"l{n % 2}") for n in range(rows)] for i in range(shards)
    }


def test_rows_are_paged_with_links_that_can_be_kept(client: FlaskClient, tmp_path: Path) -> None:
    write_run(tmp_path, many(3, 40))
    first = page_of(client, tmp_path)
    assert tickets_on(first) == list(range(50))
    assert "50 rows of 120" in first
    following = link(first, "Next rows")
    assert f"at={shard(1)}.0.10" in following
    second = client.get(following).text
    assert tickets_on(second) == list(range(50, 100))
    third = client.get(link(second, "Next rows")).text
    assert tickets_on(third) == list(range(100, 120))
    assert "there are no more" in third
    assert "Next rows" not in third
    assert tickets_on(client.get(link(third, "First rows")).text) == list(range(50))


def test_a_run_that_takes_long_to_open_says_so(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read in the background; meanwhile, other runs are shown, and then this one."""
    slow, other = tmp_path / "slow", tmp_path / "other"
    for folder in (slow, other):
        write_run(folder, many(1, 3))
    begun, go_on = threading.Event(), threading.Event()
    real = opened_runs.open_rows

    def open_rows(asked: Run) -> OpenedRun:
        if asked.storage.uri == str(slow):
            begun.set()
            assert go_on.wait(30)
        return real(asked)

    monkeypatch.setattr(opened_runs, "open_rows", open_rows)
    monkeypatch.setattr(OpenedRuns.soon, "__defaults__", (0.01,))
    assert "The run is being read" in page_of(client, slow)
    assert begun.wait(30)
    monkeypatch.setattr(OpenedRuns.soon, "__defaults__", (30.0,))
    assert tickets_on(page_of(client, other)) == [0, 1, 2]
    go_on.set()
    assert tickets_on(page_of(client, slow)) == [0, 1, 2]


def test_a_filter_stays_in_the_form_and_in_the_links(client: FlaskClient, tmp_path: Path) -> None:
    made = many(2, 70)
    made[shard(1)][3] = row(500, "error", error_code=500, error_message="try 7 again")
    write_run(tmp_path, made)
    page = page_of(client, tmp_path, outcome=["ok", "error"], column="label", value="l1")
    assert '<input type="checkbox" name="outcome" value="ok" checked>' in page
    assert "<option selected>label</option>" in page
    assert 'name="value" value="l1"' in page
    assert "outcome=ok&outcome=error&column=label&value=l1" in link(page, "Next rows")
    (group,) = re.findall(r'<option value="(error 500 [^"]*)">1 error 500: ', page)
    found = page_of(client, tmp_path, error=group)
    assert tickets_on(found) == [500]
    assert f'<option value="{group}" selected>' in found
    assert "try 7 again" in found


def test_a_rounded_cost_finds_the_rows_that_show_it(client: FlaskClient, tmp_path: Path) -> None:
    """In the table and for another run: small ones have two digits, and others four or cents."""
    costs = [7.74e-06, 7.64e-06, 7.8e-06, 0.01234, 0.01236, 1234.501, 0.0, 0.5]
    write_run(tmp_path, {shard(0): [row(n, cost_usd=cost) for n, cost in enumerate(costs)]})
    shown = re.findall(r'<td class="cell">(\$[^<]*)</td>', page_of(client, tmp_path))
    assert shown[:2] == ["$0.0000077", "$0.0000076"]
    for cost in {*shown, "0.0000077", "1234.50"}:
        found = page_of(client, tmp_path, column="cost_usd", value=cost)
        figures = [figure.lstrip("$").replace(",", "") for figure in shown]
        wanted = [n for n, f in enumerate(figures) if f == cost.lstrip("$").replace(",", "")]
        assert tickets_on(found) == wanted, cost
    assert tickets_on(page_of(client, tmp_path, column="cost_usd", value="0.01236")) == [4]
    source = html.unescape(page_of(client, tmp_path, column="cost_usd", value="$0.0123"))
    between = "`cost_usd` BETWEEN CAST(''0.01225'' AS DOUBLE) AND CAST(''0.01235'' AS DOUBLE)"
    assert between in " ".join(source.split())


def test_all_groups_of_errors_are_paged_with_their_rows(
    client: FlaskClient, tmp_path: Path
) -> None:
    """Also those that the report leaves out; each leads to its records."""
    made = {
        shard(i): [
            row(10 * i + n, "error", error_code=400, error_message=f"cause {chr(97 + i)}{n}x")
            for n in range(8)
        ]
        for i in range(8)
    }
    made[shard(8)] = [row(900 + n, "error", error_code=500, error_message="busy") for n in range(3)]
    made[shard(9)] = [row(950, "missing")]
    write_run(tmp_path, made)
    page = page_of(client, tmp_path, "/run/errors")
    assert "66 groups, the largest first." in page
    rows = re.findall(r"<strong>(\d+)</strong>", page)
    assert rows == ["3", *["1"] * 49]
    second = client.get(link(page, "Next")).text
    assert len(re.findall(r"<strong>1</strong>", second)) == 16
    assert "asked, and neither an answer nor an error came" in second
    (address,) = re.findall(r'<a href="([^"]*)"><strong>3</strong>', page)
    assert tickets_on(client.get(html.unescape(address)).text) == [900, 901, 902]
    assert "A shard names its ten" not in page


def test_rows_of_data_are_text(client: FlaskClient, tmp_path: Path) -> None:
    rows = [row(0, text=HOSTILE, label=HOSTILE, body=f"a {HOSTILE} b")]
    write_run(tmp_path, {shard(0): rows})
    pages = [
        page_of(client, tmp_path),
        page_of(client, tmp_path, text="<script>"),
        page_of(client, tmp_path, column="label", value=HOSTILE, sort="label"),
    ]
    for page in pages:
        assert HOSTILE not in page
        assert html.escape(HOSTILE, quote=True).replace("&#x27;", "&#39;") in page
    assert f"<mark>{html.escape('<script>')}</mark>" in pages[1]


def test_a_shard_is_sorted_and_a_sample_says_that_it_is_one(
    client: FlaskClient, tmp_path: Path
) -> None:
    write_run(tmp_path, many(60, 60), group_rows=60)
    page = page_of(client, tmp_path, within=shard(2), sort="output_tokens", desc="1")
    assert tickets_on(page) == list(range(179, 129, -1))
    assert f"Rows 1 to 50 of 60 among 60 rows of {shard(2)}, sorted." in page
    assert tickets_on(client.get(link(page, "Next rows")).text) == list(range(129, 119, -1))
    sample = page_of(client, tmp_path, sort="output_tokens")
    assert "among 1,440 rows of a sample of 24 shards, sorted." in sample
    assert "Rows elsewhere in the run are not looked at." in sample


def test_a_page_that_has_read_enough_offers_to_go_on(client: FlaskClient, tmp_path: Path) -> None:
    made = many(30, 3)
    made[shard(29)][2] = row(999, text="needle")
    write_run(tmp_path, made)
    page = page_of(client, tmp_path, text="needle")
    assert not tickets_on(page)
    assert f"the page ends here, before {shard(24)}, because it has read enough" in page
    assert tickets_on(client.get(link(page, "Go on looking")).text) == [999]


def test_what_is_not_collected_is_said(client: FlaskClient, tmp_path: Path) -> None:
    write_run(tmp_path, many(3, 2), collected=[shard(0)])
    assert "1 of 3 shards are collected. Rows of the others are not here yet." in page_of(
        client, tmp_path
    )


def test_results_that_are_gone_are_a_problem_on_the_page(
    client: FlaskClient, tmp_path: Path
) -> None:
    write_run(tmp_path, many(2, 2))
    (tmp_path / layout.results_key(shard(1))).unlink()
    page = page_of(client, tmp_path)
    assert tickets_on(page) == [0, 1]
    assert f'<p class="problem" role="alert">{tmp_path}: {shard(1)} has no results' in page


def test_a_row_leads_to_its_record_and_a_rejected_one_too(
    client: FlaskClient, tmp_path: Path
) -> None:
    made = {REJECTS: [row(9, "rejected", error_message="body: is null")]}
    write_run(tmp_path, made)
    page = client.get(link(page_of(client, tmp_path), "rejected row")).text
    assert "<h1>Rejected row</h1>" in page
    assert "never asked: body: is null." in page
    assert "Request" not in page
    assert '<td class="value">T-9</td>' in page


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"outcome": "fine"}, "is none of ok"),
        ({"column": "nope", "value": "x"}, "the results have no such column"),
        ({"value": "x"}, "choose the column"),
        ({"error": "nothing"}, "is no group of errors"),
        ({"at": "here"}, "is not the place of a row"),
        ({"within": "shard-09999-00"}, "has no such shard"),
        ({"sort": "nope"}, "no such column"),
        ({"sort": "ticket_id", "first": "-1"}, "is no number of rows"),
    ],
)
def test_a_wrong_query_is_an_error_with_a_sentence(
    client: FlaskClient, tmp_path: Path, query: dict[str, str], said: str
) -> None:
    write_run(tmp_path, many(1, 2))
    answer = client.get("/run/records", query_string={"uri": str(tmp_path), **query})
    assert answer.status_code == 400
    assert said in html.unescape(answer.text)


def test_csv_has_all_rows_of_the_filter(client: FlaskClient, tmp_path: Path) -> None:
    write_run(tmp_path, many(3, 40))
    page = page_of(client, tmp_path, column="label", value="l1")
    answer = client.get(link(page, "All rows of this filter as CSV"))
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [each["ticket_id"] for each in rows] == [f"T-{n}" for n in range(1, 120, 2)]


def test_the_source_of_another_run_is_on_the_page(client: FlaskClient, tmp_path: Path) -> None:
    write_run(tmp_path, many(1, 2))
    page = html.unescape(page_of(client, tmp_path, outcome="ok", column="label", value="l1"))
    assert f"source:\n  run: {tmp_path}\n  outcome:\n  - ok\n  where: '`label` = ''l1'''" in page


def test_a_record_shows_its_request_every_reply_and_what_counts(
    client: FlaskClient,
    run: Any,  # noqa: F811
) -> None:
    page = page_of(client, run.storage.uri, "/run/record", id=IDS[0])
    assert f"<h1>Record {IDS[0]}</h1>" in page
    assert "&#34;n&#34;: 0" in page
    titles = [
        " ".join(re.sub("<[^>]*>", "", t).split()) for t in re.findall("<h3>(.*?)</h3>", page)
    ]
    assert titles == [
        "Batch job, attempt 1 error",
        "Batch job, attempt 10 error",
        "Fallback ok in the results",
    ]
    assert "500: and again" in page
    assert "1,000 in, 500 out" in page
    assert "$0.0040" in page
    assert "2 rows share this record" in page
    # The first row is open; the others are folded, each named by its first column.
    assert re.findall(r"<summary>(Row \d+: \w+ \S+)", page) == ["Row 2: ticket_id 0"]


def test_a_record_is_found_by_id_and_by_key(
    client: FlaskClient,
    run: Any,  # noqa: F811
) -> None:
    for text in (IDS[1], "1"):
        page = page_of(client, run.storage.uri, "/run/record", find=text)
        assert f"<h1>Record {IDS[1]}</h1>" in page
    answer = client.get("/run/record", query_string={"uri": run.storage.uri, "find": "77"})
    missing = client.get(answer.location)
    assert missing.status_code == 400
    assert f"has no record {record_id(['77'])}" in missing.text
    assert SHARD in page


def test_a_key_whose_record_has_another_id_is_looked_for_in_the_rows(
    client: FlaskClient, tmp_path: Path
) -> None:
    """With `answers` or `request.dedupe`, ids are hashes of bodies."""
    made = many(3, 4)
    write_run(tmp_path, made, request={"prompt": "{{ body }}", "max_tokens": 9, "dedupe": True})
    assert tickets_on(page_of(client, tmp_path, "/run/record", find="T-7")) == [7]
