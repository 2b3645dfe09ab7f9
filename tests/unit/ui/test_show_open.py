"""`show --open`: the page of a record, at the address that the command prints."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from flask import Flask

from bedrock_spark.cli import main
from bedrock_spark.errors import ExitCode
from bedrock_spark.ui import server
from bedrock_spark.ui.app import create_app
from bedrock_spark.ui.settings import UiSettings
from tests.unit.browse.run_of_rows import REJECTS, row, shard, write_run


@pytest.fixture
def uri(tmp_path: Path) -> str:
    rejected = row(900, "rejected", error_message="body: is null")
    write_run(tmp_path / "run", {shard(0): [row(n) for n in range(3)], REJECTS: [rejected]})
    return str(tmp_path / "run")


def test_the_printed_address_is_of_the_page_of_the_record(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apps: list[Flask] = []

    def made(settings: UiSettings, token: str) -> Flask:
        apps.append(create_app(settings, token))
        return apps[0]

    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(server, "create_app", made)
    monkeypatch.setattr(server.Server, "serve", server.Server.close)
    wanted = str(row(1)["record_id"])
    done = CliRunner().invoke(main, ["show", uri, "--record", wanted, "--open"])
    assert done.exit_code == 0, done.output
    assert opened[0] in done.output
    at = urlsplit(opened[0])
    client = apps[0].test_client()
    page = client.get(f"{at.path}?{at.query}", base_url=f"http://{at.netloc}")
    assert page.status_code == 303
    page = client.get(page.headers["Location"], base_url=f"http://{at.netloc}")
    assert page.status_code == 200
    assert wanted in page.text


def test_it_is_a_page_or_json(uri: str) -> None:
    done = CliRunner().invoke(main, ["show", uri, "--record", "x", "--open", "--json"])
    assert done.exit_code == ExitCode.USAGE
    assert "--open and --json" in done.output


def test_a_rejected_row_has_no_page_by_its_id(uri: str) -> None:
    done = CliRunner().invoke(main, ["show", uri, "--outcome", "rejected", "--open"])
    assert done.exit_code == ExitCode.CONFIG
    assert "rejected rows have none" in done.output
