"""A run in Chromium: gone on with, watched to its end, stopped; its jobs and what they wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from bedrock_emulator import LocalBedrock
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report import Ending
from bedrock_spark.run_folder import layout
from tests.browser import SCREEN
from tests.e2e.kill_points import BUCKET, config_of, write_run
from tests.e2e.ui.checks import check_as_it_is, check_page, open_page
from tests.e2e.ui.conftest import Serve
from tests.e2e.ui.pictures import picture
from tests.unit.browse.finished_run import finished_run
from tests.unit.page.reports import FAILED, HOSTILE, report_json

pytestmark = pytest.mark.long

NAME = "runs/tickets"
URI = f"s3://{BUCKET}/{NAME}"
FAST: dict[str, Any] = {"quotas": {"min_records": 10}}
SLOW = {**FAST, "jobs": [{"share": 1.0, "slowdown": 10_000}]}
LONG = 60_000  # milliseconds: how long a test that fails waits


@pytest.fixture
def local(bedrock: Callable[..., LocalBedrock], monkeypatch: pytest.MonkeyPatch) -> LocalBedrock:
    """Start a Bedrock, set the environment so that clients use it, and prepare a run there."""
    local = bedrock(FAST, seed=5)
    for name, value in local.environment().items():
        monkeypatch.setenv(name, value)
    config = config_of(
        NAME,
        {"poll_seconds": 0.05, "max_active_jobs": 2},
        prices={"batch": {"input": 0.1, "output": 0.5}},
        canary={"records": 0},
    )
    write_run(Pipeline.open(config).run, (12,) * 6)
    return local


def served(serve: Serve, local: LocalBedrock) -> str:
    return serve(f"s3://{BUCKET}/runs/", "--allow-control", "--endpoint-url", local.endpoint_url)


def upload_finished_run(local: LocalBedrock, folder: Path, uri: str) -> None:
    """Write a run that is done, and in which everything happened, to a bucket of its own."""
    folder = folder / uri.rpartition("/")[2]
    run = finished_run(folder)
    report = report_json(uri, ending=Ending("done", "publish", at=FAILED.at))
    of_run = {"run_id": run.run_id, "jobs": {}}  # this folder has no ledger
    (folder / layout.REPORT_FILE).write_text(json.dumps({**report, **of_run}))
    (folder / layout.RECONCILIATION_FILE).write_bytes(b"")
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    client = local.client("s3")
    client.create_bucket(Bucket=bucket)
    for path in folder.rglob("*"):
        if path.is_file():
            key = f"{prefix}/{path.relative_to(folder).as_posix()}"
            client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())


def test_the_page_of_a_finished_run(
    browser: Browser, serve: Serve, bedrock: Callable[..., LocalBedrock], tmp_path: Path
) -> None:
    """With all of its sections; texts of rows are texts."""
    local, uri = bedrock(), "s3://my-bucket/runs/tickets"
    upload_finished_run(local, tmp_path, uri)
    address = serve(uri, "--endpoint-url", local.endpoint_url)
    check_page(browser, address, f"/run?uri={quote(uri)}")
    watched = open_page(browser, address)
    assert HOSTILE in watched.page.inner_text("[data-part=errors]")
    assert watched.errors == []
    picture(watched.page, "run", 1_250)


def test_a_run_is_watched_to_its_end(browser: Browser, serve: Serve, local: LocalBedrock) -> None:
    """From the list of runs to the output of a job; nothing is paid for twice, whoever clicks."""
    watched = open_page(browser, served(serve, local))
    page = watched.page
    page.get_by_role("link", name="tickets", exact=True).click()
    expect(page.locator("h1")).to_contain_text("0 of 72 rows are answered")
    page.get_by_role("link", name="Go on with the batch jobs…").click()
    said = page.inner_text("main")
    assert "6 shards wait for a batch job, with 72 records: they cost about $" in said
    check_as_it_is(watched, SCREEN)
    page.get_by_role("button", name="Go on with the batch jobs").dblclick()
    # No reload: the script of the page asks for what is new.
    expect(page.locator("[data-part=control]")).to_contain_text(
        "Going on ended: all 6 shards are done", timeout=LONG
    )
    expect(page.locator("[data-part=jobs]")).to_contain_text("6 Completed", timeout=LONG)
    expect(page.locator("[data-part=head]")).to_contain_text("Stage: batch jobs over")
    page.reload()  # what is new would replace the marks of the check
    check_as_it_is(watched, SCREEN)
    page.get_by_role("link", name="shard-00003-00").click()
    expect(page.locator("main")).to_contain_text("12 answered, 0 failed")
    page.get_by_role("link", name=".jsonl.out").click()
    lines = page.inner_text("pre").splitlines()
    assert len(lines) == 12
    assert all("modelOutput" in json.loads(line) for line in lines)
    assert watched.errors == []
    assert local.usage()["totals"]["records_billed"] == 72
    assert local.usage()["paid_again"]["records"] == 0


def test_a_run_is_stopped_and_gone_on_with(
    browser: Browser, serve: Serve, local: LocalBedrock
) -> None:
    """The page that goes on with it is the one that stops it."""
    local.set_faults(SLOW)
    address = served(serve, local)
    watched = open_page(browser, address)
    page = watched.page
    page.goto(f"{address.partition('/?')[0]}/run/go-on?uri={quote(URI)}")
    page.get_by_role("button", name="Go on with the batch jobs").click()
    expect(page.locator("[data-part=control]")).to_contain_text("2 jobs active", timeout=LONG)
    page.get_by_role("link", name="Stop the run…").click()
    assert "2 batch jobs are active" in page.inner_text("main")
    page.get_by_role("button", name="Stop the run").click()
    expect(page.locator("[data-part=control]")).to_contain_text(
        "Stopping ended: stopped; 0 of 6 shards are done", timeout=LONG
    )
    expect(page.locator("[data-part=head]")).to_contain_text("Held (stopped)", timeout=LONG)
    assert watched.errors == []
    local.set_faults(FAST)
    page.get_by_role("link", name="Go on with the batch jobs…").click()
    page.get_by_role("button", name="Go on with the batch jobs").click()
    expect(page.locator("[data-part=control]")).to_contain_text(
        "Going on ended: all 6 shards are done", timeout=LONG
    )
    assert local.usage()["paid_again"]["records"] == 0


def test_what_the_user_does_outlives_what_is_new(
    browser: Browser, serve: Serve, local: LocalBedrock
) -> None:
    """Opened tables stay open, and the keyboard stays where it is."""
    address = served(serve, local)
    watched = open_page(browser, address)
    page = watched.page
    page.goto(f"{address.partition('/?')[0]}/run?uri={quote(URI)}")
    page.get_by_text("Table of outcomes").click()
    page.get_by_role("link", name="All records").focus()
    pipeline = Pipeline.open(config_of(NAME, {"poll_seconds": 0.05}, canary={"records": 0}))
    assert pipeline.watch() is not None
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("[data-part=jobs]")).to_contain_text("6 Completed", timeout=LONG)
    assert page.locator("[data-part=rows] details").evaluate("each => each.open")
    assert page.evaluate("document.activeElement.textContent") == "All records"
    assert watched.errors == []


@pytest.mark.parametrize("path", ["/run", "/run/jobs", "/run/stop"])
def test_pages_of_a_run(browser: Browser, serve: Serve, local: LocalBedrock, path: str) -> None:
    result = Pipeline.open(config_of(NAME, {"poll_seconds": 0.05}, canary={"records": 0})).watch()
    assert result is not None
    check_page(browser, served(serve, local), f"{path}?uri={quote(URI)}")


def test_the_list_of_runs(browser: Browser, serve: Serve, local: LocalBedrock) -> None:
    check_page(browser, served(serve, local), f"/?prefix={quote(f's3://{BUCKET}/runs/')}")
