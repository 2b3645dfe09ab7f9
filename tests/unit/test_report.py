"""The report: sums over shards, and the proof that every row is accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.cli.display import Display
from bedrock_spark.errors import UnaccountedRowsError
from bedrock_spark.report import Report, build_report, check_complete, write_report
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RejectedRows, RunManifest, Shard
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import make_config

MANIFEST = RunManifest(
    "run-abcdefgh",
    253,
    "a INT",
    (Shard("shard-0", 100, 1, "x"), Shard("shard-1", 150, 1, "y")),
    (RejectedRows(0, 3),),
)


def unit(name: str, findings: tuple[Any, ...] = (), **more: Any) -> dict[str, Any]:
    return {
        "unit": name,
        "outcomes": {},
        "served_by": {},
        "tokens": {},
        "unanswered": 0,
        "findings": list(findings),
        **more,
    }


UNITS = [
    unit(
        "shard-0",
        outcomes={"ok": 90, "error": 6, "missing": 4},
        served_by={"batch": 80, "fallback": 10},
        tokens={"input": 1_000, "output": 100},
        manifest_tokens={"input": 1_100, "output": 120, "images": 3},
        unanswered=5,
    ),
    unit(
        "shard-1",
        ({"kind": "bad_line", "count": 1},),
        outcomes={"ok": 150, "error": 0, "missing": 0},
        served_by={"batch": 150, "fallback": 0},
        tokens={"input": 2_000, "output": 200},
        manifest_tokens={"input": 2_000, "output": 200, "images": 1},
    ),
    unit("rejects-00000", outcomes={"rejected": 3}),
]


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Report]:
    def run_of(prices: dict[str, Any]) -> Run:
        config = make_config(prices=prices)
        return Run("run-abcdefgh", config, LocalStorage(str(tmp_path)), AwsSettings())

    def build(
        units: list[dict[str, Any]] = UNITS,
        jobs: dict[str, Job] | None = None,
        tries: tuple[Canary, ...] = (),
        prices: dict[str, Any] | None = None,
    ) -> Report:
        run = run_of(prices or {})
        times = {"prepare": 1.23456}
        report = build_report(run, MANIFEST, jobs or {}, units, times, tries=tries)
        write_report(run, report)
        return report

    return build


def a_job(shard: str, status: str | None, message: str | None = None) -> Job:
    seen = SeenJob(f"arn:{shard}", f"n-{shard}", "t", status, message) if status else None
    return Job(shard, 1, f"n-{shard}", "t", seen)


def test_the_shards_add_up(build: Callable[..., Report], tmp_path: Path) -> None:
    """Rows are ok, error, missing or rejected; tokens and who served are sums too."""
    report = build()
    assert report.outcomes == {"ok": 240, "error": 6, "missing": 4, "rejected": 3}
    assert report.served_by == {"batch": 230, "fallback": 10}
    assert report.tokens == {"input": 3_000, "output": 300}
    assert report.manifest_totals == {"input": 3_100, "output": 320, "images": 4}
    assert (report.rows, report.shards, report.unanswered) == (253, 2, 5)
    assert report.permanent_errors == 5
    assert report.is_complete
    check_complete(report)


def a_try(**more: int) -> Canary:
    counts = {"asked": 5, "answered": 5, "refused": 0, "line_bytes": 900, **more}
    return Canary("m", 0.0, input_tokens=50, output_tokens=10, **counts)


def test_a_canary_is_told_by_its_last_try_and_paid_for_by_all(
    build: Callable[..., Report], capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line; without a canary there is none."""
    report = build(tries=(a_try(answered=2, refused=3), a_try(answered=4)))
    assert report.canary == {
        "asked": 5,
        "answered": 4,
        "refused": 0,
        "input_tokens": 100,
        "output_tokens": 20,
    }
    Display().show_report(replace(report, findings=[]))
    assert "canary            4 of 5 answered\n" in capsys.readouterr().out
    assert build().canary is None
    Display().show_report(replace(build(), findings=[]))
    assert "\ncanary " not in capsys.readouterr().out


def test_money_is_told_where_there_are_prices(
    build: Callable[..., Report], capsys: pytest.CaptureFixture[str]
) -> None:
    """By who was asked: manifests of jobs, the fallback's answers, all tries of the canary."""
    jobs = [replace(a_job(f"shard-{i}", "Completed"), tokens=(1_000_000, 80_000)) for i in (0, 1)]
    units = [UNITS[0] | {"fallback_tokens": {"input": 1_000, "output": 100}}, *UNITS[1:]]
    told = {"jobs": {j.job_name: j for j in jobs}, "units": units, "tries": (a_try(),)}
    assert build(**told).cost is None
    batch = {"input": "0.000125", "output": 0.000625}
    report = build(**told, prices={"batch": batch, "fallback": {"input": 0.25, "output": 1.25}})
    cost = {"batch": 0.35, "fallback": 0.375, "canary": 0.0, "total": 0.725}
    assert report.cost == cost
    Display().show_report(replace(report, findings=[]))
    shown = "$0.7250: $0.3500 batch, $0.3750 fallback, $0.0000 canary"
    assert f"cost              {shown}\n" in capsys.readouterr().out
    assert build(**told, prices={"batch": batch}).cost == {
        "batch": 0.35,
        "canary": 0.0,
        "total": 0.35,
    }


def test_what_is_written_is_the_report(build: Callable[..., Report], tmp_path: Path) -> None:
    """With at least the keys that scripts rely on."""
    report = build()
    written = json.loads((tmp_path / "report.json").read_bytes())
    assert written == json.loads(json.dumps(report.as_json()))
    assert written["seconds"] == {"prepare": 1.23}
    assert {
        *("run_id", "rows", "outcomes", "served_by", "shards", "jobs", "attempts", "tokens"),
        "findings",
    } <= written.keys()


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_unit_that_is_not_there_is_a_finding_and_the_proof_fails(
    build: Callable[..., Report], lost: int
) -> None:
    """A shard, or the rejected rows of a bucket."""
    units = [u for i, u in enumerate(UNITS) if i != lost]
    report = build(units)
    rows = sum(UNITS[lost]["outcomes"].values())
    found = [f for f in report.findings if f["kind"] == "unaccounted_rows"]
    assert [(f["shard_id"], f["count"]) for f in found] == [(UNITS[lost]["unit"], rows)]
    with pytest.raises(UnaccountedRowsError, match=rf"253 rows went in and {253 - rows} came out"):
        check_complete(report)


def test_two_mistakes_that_cancel_out_are_still_findings(build: Callable[..., Report]) -> None:
    """One shard too many and another too few: the sum is right and the shards are not."""
    units = [dict(u) for u in UNITS]
    units[0] = {**units[0], "outcomes": {"ok": 101}}
    units[1] = {**units[1], "outcomes": {"ok": 149}}
    report = build(units)
    assert report.is_complete
    assert [f["kind"] for f in report.findings].count("unaccounted_rows") == 2


def test_jobs_that_ended_badly_are_findings_with_the_services_words(
    build: Callable[..., Report],
) -> None:
    """One that was completed, or is not over, is none."""
    listed = [
        a_job("shard-0", "Completed"),
        a_job("shard-1", "Failed", "less records"),
        a_job("shard-2", "Expired"),
        a_job("shard-3", "InProgress"),
        a_job("shard-4", None),
    ]
    report = build(jobs={job.job_name: job for job in listed})
    assert report.attempts == 5
    assert report.jobs == {"Completed": 1, "Expired": 1, "Failed": 1, "InProgress": 1, "Unknown": 1}
    found = {f["kind"]: f["detail"] for f in report.findings if f["kind"].startswith("job_")}
    assert found == {
        "job_failed": "arn:shard-1: less records",
        "job_expired": "arn:shard-2: no message",
    }
