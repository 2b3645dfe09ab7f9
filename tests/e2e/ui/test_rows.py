"""The rows of a config beside their answers, against the local Bedrock."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from bedrock_emulator import LocalBedrock
from bedrock_spark.errors import StorageError
from bedrock_spark.ui.app import create_app
from bedrock_spark.ui.guard import cookie_name
from bedrock_spark.ui.settings import Kind, Place, UiSettings
from tests.e2e.ui.rows_config import FIELDS, SCRIPT, write_config

TOKEN = "a-token"


@pytest.fixture(scope="module")
def local() -> Iterator[LocalBedrock]:
    with LocalBedrock(speed=0) as started:
        yield started


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")


class Rows:
    """The page as a browser without a script uses it, and the lines that a script reads."""

    def __init__(self, config: str, **settings: Any) -> None:
        app = create_app(UiSettings(Place(config, Kind.CONFIG), **settings), TOKEN)
        self.config = config
        # What the page that was read last shows; it goes with what is asked.
        self.seen = "nothing"
        self.client: FlaskClient = app.test_client()
        self.client.set_cookie(cookie_name(TOKEN), TOKEN, domain="localhost")
        self.client.environ_base["HTTP_ORIGIN"] = "http://localhost"

    def text(self, **query: str) -> str:
        """Return the page when its rows are read. Choose rows by the query first."""
        if query:
            found = self.client.get("/rows", query_string={"config": self.config, **query})
            assert found.status_code == 302, found.text
        while (
            not self.client.get("/rows/state", query_string={"config": self.config}).json[  # type: ignore[index]
                "is_there"
            ]
        ):
            pass
        page = self.client.get("/rows", query_string={"config": self.config})
        assert page.status_code == 200, page.text
        seen = re.search(r'name="seen" value="(\w+)"', page.text)
        self.seen = self.seen if seen is None else seen[1]
        return page.text

    def ask(self, **form: str) -> list[dict[str, Any]]:
        """Ask rows as the script does; return the lines."""
        reply = self.client.post(
            "/rows/ask",
            data={"config": self.config, "seen": self.seen, "limit": "1", **form},
            headers={"Accept": "application/x-ndjson, application/json;q=0.9"},
        )
        assert reply.status_code == 200, reply.text
        return [json.loads(line) for line in reply.text.splitlines()]

    def change(self, **fields: str) -> str:
        """Change the config, and return the page."""
        data = {"config": self.config, **FIELDS, **fields}
        assert self.client.post("/rows/change", data=data).status_code == 303
        return self.text()


def calls(local: LocalBedrock) -> int:
    return int(local.usage()["totals"]["invocation_input_tokens"])


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", html))


def test_the_same_rows_are_asked_again_with_another_prompt(
    local: LocalBedrock, tmp_path: Path
) -> None:
    """What changed is marked by column, and a request whose answer is known is not paid again."""
    page = Rows(write_config(tmp_path, local), allow_calls=True)
    first = page.text()
    assert SCRIPT not in first
    assert "Ask 20 rows: at most $0." in first
    *rows, end = page.ask()
    assert sorted(row["row"] for row in rows) == [*range(1, 21)]
    assert end["error"] is None
    assert "40 rows would cost about $" in end["html"]
    assert "Ask 20 rows: nothing to pay" in end["html"]
    paid = calls(local)
    assert [row["row"] for row in page.ask(numbers="2")[:-1]] == [2]
    assert calls(local) == paid
    changed = page.change(prompt="Sort: {{ body }}")
    assert changed.count("to an earlier request") == 20
    assert "+  prompt: &#34;Sort: {{ body }}&#34;  # in English" in changed
    *rows, end = page.ask()
    assert "20 of 20 rows that were answered before" in words(end["html"])
    cells = next(words(row["html"]) for row in rows if row["row"] == 5)
    assert "ok sorted before: first false" in cells
    broken = next(words(row["html"]) for row in rows if row["row"] == 4)
    assert "invalid before: ok" in broken
    # Back to the first prompt: all is known.
    paid = calls(local)
    page.change()
    assert "before: sorted" in words(page.ask(numbers="5")[0]["html"])
    assert calls(local) == paid
    page.ask(again_number="5")
    assert calls(local) > paid


def test_nothing_is_asked_unless_calls_are_allowed(local: LocalBedrock, tmp_path: Path) -> None:
    page = Rows(write_config(tmp_path, local))
    assert "start <code>bedrock-spark ui</code> with <code>--allow-calls</code>" in page.text()
    reply = page.client.post("/rows/ask", data={"config": page.config, "limit": "1"})
    assert reply.status_code == 403


def test_the_limit_holds_and_is_named(local: LocalBedrock, tmp_path: Path) -> None:
    page = Rows(write_config(tmp_path, local), allow_calls=True)
    page.text()
    before = calls(local)
    (end,) = page.ask(limit="0.000001")
    assert "more than the limit $0.0000010, and nothing was asked" in end["error"]
    assert calls(local) == before
    data = {"config": page.config, "seen": page.seen, "limit": "much"}
    reply = page.client.post("/rows/ask", data=data)
    assert (reply.status_code, "is no sum of dollars" in reply.text) == (400, True)


def test_without_a_script_the_page_comes_when_all_is_answered(
    local: LocalBedrock, tmp_path: Path
) -> None:
    page = Rows(write_config(tmp_path, local), allow_calls=True)
    page.text(rows="3")
    data = {"config": page.config, "seen": page.seen, "limit": "1"}
    reply = page.client.post("/rows/ask", data=data)
    assert reply.status_code == 303
    assert page.text().count('<span class="tag ok">ok</span>') == 3


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"prompt": "About {{ bdy }}"},
            "request: the source has no column bdy; did you mean body?",
        ),
        ({"prompt": "About {{ body"}, "tickets.yaml:5: request.prompt: is not a valid template"),
        ({"parameters": "max_tokens: a lot"}, "request.max_tokens: must be a whole number"),
        ({"parameters": "max_tokens: [1"}, "parameters (line 1): is not YAML"),
        ({"parameters": "prompt: x"}, "parameters: prompt has a field of its own"),
        ({"parse": "label strin"}, "results.parse"),
        ({"model": "amazon.nova-lit-v1:0"}, "did you mean amazon.nova-lite-v1:0?"),
    ],
)
def test_a_change_that_is_not_valid_is_refused_as_check_does(
    local: LocalBedrock, tmp_path: Path, fields: dict[str, str], said: str
) -> None:
    """The fields keep what was typed, and nothing can be asked."""
    page = Rows(write_config(tmp_path, local), allow_calls=True)
    page.text()
    shown = page.change(**fields)
    alert = re.search(r'role="alert">(.*?)</div>', shown, re.DOTALL)
    assert alert is not None
    assert said in alert[1]
    assert all(value in shown for value in fields.values())
    assert "no rows to ask yet, or the config is not valid" in page.ask()[-1]["error"]
    assert 'role="alert"' not in page.change()


def test_the_changed_config_is_downloaded_and_the_file_stays(
    local: LocalBedrock, tmp_path: Path
) -> None:
    page = Rows(write_config(tmp_path, local))
    before = Path(page.config).read_text()
    page.text()
    page.change(system="You sort.", parameters="max_tokens: 32\ntemperature: 0.5\n")
    reply = page.client.get("/rows/config", query_string={"config": page.config})
    assert reply.headers["Content-Disposition"] == "attachment; filename=tickets.yaml"
    assert reply.text == before.replace("max_tokens: 64\n", "max_tokens: 32\n").replace(
        "max_tokens: 32\n", 'max_tokens: 32\n  system: "You sort."\n  temperature: 0.5\n'
    )
    assert Path(page.config).read_text() == before
    page.client.post("/rows/change", data={"config": page.config, "reset": "1"})
    assert "What differs" not in page.text()


def test_rows_are_chosen_at_random_or_by_key(local: LocalBedrock, tmp_path: Path) -> None:
    page = Rows(write_config(tmp_path, local))
    assert "<td>T-39</td>" not in page.text()
    chosen = page.text(how="keys", rows="1", keys="T-39\r\nT-7\r\n")
    assert re.findall(r"<td>(T-\d+)</td>", chosen) == ["T-7", "T-39"]
    one, same, other = (
        re.findall(r"<td>(T-\d+)</td>", page.text(how="random", rows="5", seed=seed))
        for seed in ("1", "1", "2")
    )
    assert one == same != other
    shown = page.text(how="keys", rows="1", keys="T-999")
    assert "source: has no row with the key &#39;T-999&#39;" in shown
    query = {"config": page.config, "rows": "1000"}
    reply = page.client.get("/rows", query_string=query)
    assert (reply.status_code, "rows: must be a number from 1 to 200" in reply.text) == (400, True)


def test_answers_are_kept_where_the_config_keeps_them(local: LocalBedrock, tmp_path: Path) -> None:
    """Another process finds them, and pays nothing."""
    config = write_config(tmp_path, local, f"answers: {tmp_path}/answers\n")
    one = Rows(config, allow_calls=True)
    one.text(rows="4")
    one.ask()
    paid = calls(local)
    other = Rows(config, allow_calls=True)
    assert "Ask 4 rows: nothing to pay" in other.text(rows="4")
    *rows, _ = other.ask()
    assert all("kept by" in row["html"] for row in rows)
    assert calls(local) == paid


def test_a_config_that_is_closed_leaves_its_answers_and_changes(
    local: LocalBedrock, tmp_path: Path
) -> None:
    """Five are opened, and four stay open. The first is opened again as it was, and costs nothing.

    Its prompt, the choice of rows, what was paid, and a field that is not valid are kept. A config
    without changes is read again: its file has changed.
    """
    folders = [tmp_path / str(n) for n in range(6)]
    for folder in folders:
        folder.mkdir()
    page = Rows(write_config(folders[0], local), allow_calls=True)
    others = [write_config(folder, local) for folder in folders[1:]]

    def open_all() -> None:
        for other in others:
            found = page.client.get("/rows", query_string={"config": other})
            assert found.status_code == 200, found.text

    open_all()
    page.text(rows="3")
    page.change(prompt="Sort: {{ body }}")
    *_, end = page.ask()
    assert "3 answers of all configs of this page, 3 of them nowhere else" in words(end["html"])
    sum_paid = re.findall(r"<dt>paid here</dt><dd>(\$[\d.]+)", end["html"])
    paid = calls(local)
    Path(others[0]).write_text(Path(others[0]).read_text().replace("in English", "in French"))
    Path(page.config).write_text("run_uri: 5\n")  # the changed text counts, and not the file
    open_all()
    again = page.text()
    assert "Ask 3 rows: nothing to pay" in again
    assert "Sort: {{ body }}</textarea>" in again
    assert re.findall(r"<dt>paid here</dt><dd>(\$[\d.]+)", again) == sum_paid != ["$0.0000"]
    page.ask()
    assert calls(local) == paid
    page.change(prompt="Sort: {{ body }}", parameters="max_tokens: a lot")
    open_all()
    shown = page.text()
    assert "request.max_tokens: must be a whole number" in shown
    assert "max_tokens: a lot</textarea>" in shown
    page.change(prompt="Sort: {{ body }}")
    saved = page.client.get("/rows/answers.jsonl")
    assert len(saved.text.splitlines()) == 3
    assert "3 answers of all configs of this page, 0 of them nowhere else" in words(page.text())
    unchanged = page.client.get("/rows/config", query_string={"config": others[0]})
    assert "in French" in unchanged.text
    listed = words(page.client.get("/rows", query_string={"other": "1"}).text)
    assert f"{page.config} , changed; paid here: {sum_paid[0]}" in listed
    assert f"{others[0]} ; paid here: $0.0000" in listed


def test_what_is_paid_is_what_the_service_bills(local: LocalBedrock, tmp_path: Path) -> None:
    page = Rows(write_config(tmp_path, local), allow_calls=True)
    page.text(rows="6")
    before = local.usage()["totals"]
    *_, end = page.ask()
    after = local.usage()["totals"]
    tokens_in, tokens_out = (
        after[f"invocation_{kind}_tokens"] - before[f"invocation_{kind}_tokens"]
        for kind in ("input", "output")
    )
    # On demand costs twice the price of a batch job; prices are per 1,000 tokens.
    cost = 2 * (Decimal(tokens_in) + 2 * Decimal(tokens_out)) / 1_000_000
    assert f"<dt>paid here</dt><dd>${cost:.4f}" in end["html"]


def test_a_config_that_is_not_valid_is_not_opened(local: LocalBedrock, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("run_uri: 5\n")
    page = Rows(str(path))
    reply = page.client.get("/rows", query_string={"config": str(path)})
    assert (reply.status_code, "request" in reply.text) == (400, True)


def test_a_config_with_stages_asks_for_one(local: LocalBedrock, tmp_path: Path) -> None:
    """Each stage has a link, and one that is named has its rows."""
    path = Path(write_config(tmp_path, local))
    text = path.read_text().replace("model: {id: amazon.nova-lite-v1:0}\n", "")
    stages = "stages: [{name: sort, model: amazon.nova-lite-v1:0}]\n"
    path.write_text(text + stages)
    page = Rows(str(path))
    asked = page.client.get("/rows", query_string={"config": str(path)})
    assert asked.status_code == 200
    assert f"{path}#sort</a>" in asked.text
    page.config = f"{path}#sort"
    assert "Ask 20 rows" in page.text()
    path.write_text(text.replace("run_uri", "run_url") + stages)
    wrong = page.client.get("/rows", query_string={"config": f"{path}#other"})
    assert wrong.status_code == 400


def test_the_start_page_of_a_config_are_its_rows(local: LocalBedrock, tmp_path: Path) -> None:
    page = Rows(write_config(tmp_path, local))
    start = page.client.get("/", follow_redirects=True)
    assert "Rows of" in start.text


def test_stop_shows_and_counts_what_the_running_calls_answer(
    local: LocalBedrock, tmp_path: Path
) -> None:
    """Those calls are paid for. No other row is asked."""
    page = Rows(write_config(tmp_path, local), allow_calls=True)
    page.text()
    before = local.usage()["totals"]
    local.set_faults({"holds": [{"operation": "InvokeModel", "body": "number"}]})
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(page.ask)
        try:
            while not (held := local.held().get("InvokeModel", 0)) or held < 4:
                pass
            other = page.client.post("/rows/stop", data={"config": page.config})
            assert other.status_code == 303
        finally:
            local.set_faults({})
        *rows, end = asked.result()
    after = local.usage()["totals"]
    paid = after["invocations"] - before["invocations"]
    assert 4 <= paid < 20
    assert len(rows) == paid
    assert end["error"] is None
    tokens_in, tokens_out = (
        after[f"invocation_{kind}_tokens"] - before[f"invocation_{kind}_tokens"]
        for kind in ("input", "output")
    )
    cost = 2 * (Decimal(tokens_in) + 2 * Decimal(tokens_out)) / 1_000_000
    assert f"<dt>paid here</dt><dd>${cost:.4f}" in end["html"]
    # It goes on with the others.
    assert len(page.ask()) == 21
    assert local.usage()["totals"]["invocations"] - before["invocations"] == 20


def test_a_page_that_shows_another_request_pays_nothing(
    local: LocalBedrock, tmp_path: Path
) -> None:
    """A second tab has changed the prompt, or the rows: the price was another one."""
    page = Rows(write_config(tmp_path, local), allow_calls=True)
    page.text()
    first, before = page.seen, calls(local)
    data = {"config": page.config, "seen": first, "limit": "1"}
    page.change(prompt="Sort and explain: {{ body }}")
    for more in ({}, {"again": "1"}, {"numbers": "2"}):
        reply = page.client.post("/rows/ask", data={**data, **more})
        assert (reply.status_code, "nothing was asked" in reply.text) == (400, True)
    page.change()
    page.text(rows="3")
    assert page.client.post("/rows/ask", data=data).status_code == 400
    assert page.client.post("/rows/ask", data={"config": page.config}).status_code == 400
    assert calls(local) == before
    # Other columns of the answer change nothing that is asked.
    seen = page.seen
    page.change(parse="label string")
    assert page.seen == seen


def test_rows_are_asked_again_after_a_store_that_could_not_be_read(
    local: LocalBedrock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error is shown; the page does not say for ever that rows are being asked."""
    page = Rows(write_config(tmp_path, local), allow_calls=True)
    page.text(rows="2")

    def fail(*_: Any) -> None:
        raise StorageError("the store does not answer")

    with monkeypatch.context() as patched:
        patched.setattr("bedrock_spark.invoke.kept_calls.find_kept", fail)
        assert "the store does not answer" in page.ask()[-1]["error"]
    assert page.ask()[-1]["error"] is None
