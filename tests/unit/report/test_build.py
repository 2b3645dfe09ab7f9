"""The report: sums over shards, and the check that every row is accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.cli.display import Display
from bedrock_spark.errors import UnaccountedRowsError
from bedrock_spark.outputs.findings import Finding
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.report import (
    Report,
    build_report,
    check_complete,
    totals_of,
    write_report,
)
from bedrock_spark.report.build import unique
from bedrock_spark.report.findings import purchase_findings
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.ledger import Job, JobTokens
from bedrock_spark.run_folder.manifest import RejectedRows, RunManifest, Shard
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.run_folder.purchases import PurchaseNote
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

UNITS = [
    ReconciledShard(
        unit="shard-0",
        outcomes={"ok": 90, "error": 6, "missing": 4},
        served_by={"batch": 80, "fallback": 10},
        tokens={"input": 1_000, "output": 100},
        manifest_tokens={"input": 1_100, "output": 120, "images": 3},
        unanswered=5,
    ),
    ReconciledShard(
        unit="shard-1",
        findings=(Finding("bad_line", "shard-1", "line 7"),),
        outcomes={"ok": 150, "error": 0, "missing": 0},
        served_by={"batch": 150, "fallback": 0},
        tokens={"input": 2_000, "output": 200},
        manifest_tokens={"input": 2_000, "output": 200, "images": 1},
    ),
    ReconciledShard(unit="rejects-00000", outcomes={"rejected": 3}),
]


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Report]:
    """Return a function that builds the report of a run, writes it and returns it."""

    def build(
        units: list[ReconciledShard] = UNITS,
        jobs: dict[str, Job] | None = None,
        tries: tuple[Canary, ...] = (),
        prices: dict[str, Any] | None = None,
        manifest: RunManifest = MANIFEST,
        unit_hours: int = 0,
    ) -> Report:
        storage = LocalStorage(str(tmp_path))
        run = Run(
            "run-abcdefgh",
            make_config(prices={"source": "none"} | (prices or {})),
            storage,
            AwsSettings(),
        )
        seconds = {"prepare": 1.23456}
        totals = totals_of(manifest, units)
        report = build_report(run, manifest, jobs or {}, totals, seconds, None, tries, unit_hours)
        write_report(run, report)
        return report

    return build


def job_of(shard: str, status: str | None, message: str | None = None) -> Job:
    """Return the first job of a shard. If `status` is None, no listing has shown it yet."""
    seen = SeenJob(f"arn:{shard}", f"n-{shard}", "t", status, message) if status else None
    return Job(shard, 1, f"n-{shard}", "t", seen)


def test_counts_are_sums_over_the_shards(build: Callable[..., Report]) -> None:
    """Rows by outcome, answered rows by batch and fallback, and tokens."""
    report = build()
    counted = {"ok": 240, "error": 6, "missing": 4, "rejected": 3}
    assert report.outcomes == {
        "invalid": 0,
        "truncated": 0,
        "refused": 0,
        "unfound": 0,
        "waiting": 0,
        **counted,
    }
    assert report.served_by == {"batch": 230, "fallback": 10}
    assert report.tokens == {"input": 3_000, "output": 300}
    assert report.manifest_totals == {"input": 3_100, "output": 320, "images": 4}
    assert (report.rows, report.shards, report.unanswered) == (253, 2, 5)
    assert report.permanent_errors == 5
    assert report.is_complete
    check_complete(report)


def canary_try(**counts: int) -> Canary:
    counts = {"asked": 5, "answered": 5, "refused": 0, "line_bytes": 900, **counts}
    return Canary("m", 0.0, input_tokens=50, output_tokens=10, **counts)


def test_the_canary_has_its_last_outcomes_and_the_tokens_of_all_tries(
    build: Callable[..., Report], capsys: pytest.CaptureFixture[str]
) -> None:
    """The command shows it in one line; without a canary there is no such line."""
    last = replace(canary_try(answered=4, truncated=2, declined=1), probe_tokens=(7, 8))
    report = build(tries=(canary_try(answered=2, refused=3), last))
    assert report.canary == {
        "asked": 5,
        "answered": 4,
        "refused": 0,
        "truncated": 2,
        "declined": 1,
        "input_tokens": 107,
        "output_tokens": 28,
    }
    Display().show_report(replace(report, findings=[]))
    assert "\ncanary " in (shown := capsys.readouterr().out)
    assert " 4 of 5 answered, 2 truncated, 1 declined\n" in shown
    assert build().canary is None
    Display().show_report(replace(build(), findings=[]))
    assert "\ncanary " not in capsys.readouterr().out


def test_the_cost_is_reported_if_there_are_prices(
    build: Callable[..., Report], capsys: pytest.CaptureFixture[str]
) -> None:
    """Batch by the tokens of its jobs, the fallback by its answers, the canary by all its tries."""
    jobs = [
        structs.replace(job_of(f"shard-{i}", "Completed"), tokens=JobTokens(1_000_000, 80_000))
        for i in (0, 1)
    ]
    use = ModelUse(None, "standard", 7, {"input": 1_000, "output": 100})
    units = [structs.replace(UNITS[0], fallback_models=(use,)), *UNITS[1:]]
    inputs = {"jobs": {j.job_name: j for j in jobs}, "units": units, "tries": (canary_try(),)}
    assert build(**inputs).cost is None
    batch = {"input": "0.000125", "output": 0.000625}
    report = build(**inputs, prices={"batch": batch, "fallback": {"input": 0.25, "output": 1.25}})
    cost = {"batch": 0.35, "fallback": 0.375, "canary": 0.0, "total": 0.725}
    assert report.cost == cost
    Display().show_report(replace(report, findings=[]))
    costs = "$0.7250: $0.3500 batch, $0.3750 fallback"  # what cost nothing is left out
    assert f" {costs}\n" in capsys.readouterr().out
    assert build(**inputs, prices={"batch": batch}).cost == {
        "batch": 0.35,
        "canary": 0.0,
        "total": 0.35,
    }


def test_what_nothing_counted_is_estimated(build: Callable[..., Report]) -> None:
    """A stopped job without a manifest costs its processed records, not nothing; units by hours."""
    stopped = job_of("shard-0", "Stopped")
    assert stopped.seen is not None
    seen = structs.replace(stopped.seen, processed=50, succeeded=50)
    stopped = structs.replace(stopped, seen=seen)
    prices = {"batch": {"input": 0, "output": 1}, "model_unit_hour": 20}
    report = build(jobs={"a": stopped}, prices=prices, unit_hours=3)
    # 40 tokens an answer, by the request's limit.
    assert report.cost == {"batch": 50 * 40 / 1000, "canary": 0.0, "model_units": 60, "total": 62}


def test_report_json_is_the_report(build: Callable[..., Report], tmp_path: Path) -> None:
    """It has at least the keys that scripts rely on."""
    report = build()
    written = json.loads((tmp_path / "report.json").read_bytes())
    assert written == json.loads(json.dumps(report.as_json()))
    assert written["seconds"] == {"prepare": 1.23}
    assert {
        *("run_id", "rows", "outcomes", "served_by", "shards", "jobs", "attempts", "tokens"),
        "findings",
    } <= written.keys()


@pytest.mark.parametrize("missing", UNITS, ids=lambda unit: unit.unit)
def test_a_missing_unit_is_a_finding_and_the_check_fails(
    build: Callable[..., Report], missing: ReconciledShard
) -> None:
    """The unit is a shard, or the rejected rows of a bucket."""
    units = [unit for unit in UNITS if unit is not missing]
    report = build(units)
    rows = sum(missing.outcomes.values())
    findings = [f for f in report.findings if f["kind"] == "unaccounted_rows"]
    assert [(f["shard_id"], f["count"]) for f in findings] == [(missing.unit, rows)]
    with pytest.raises(UnaccountedRowsError, match=rf"253 rows went in and {253 - rows} came out"):
        check_complete(report)


def with_rows(of: ReconciledShard, rows: int, **changes: Any) -> ReconciledShard:
    return structs.replace(of, outcomes={"ok": rows}, **changes)


EMPTY = RunManifest("run-abcdefgh", 0, "a INT", (), (RejectedRows(0, 0),))


@pytest.mark.parametrize(
    ("units", "named"),
    [
        ([with_rows(UNITS[0], 101), with_rows(UNITS[1], 149), UNITS[2]], ["shard-0", "shard-1"]),
        ([UNITS[0], with_rows(UNITS[1], 153)], ["rejects-00000", "shard-1"]),
        (
            [with_rows(UNITS[0], 90), *UNITS[1:], with_rows(UNITS[0], 10, unit="shard-9")],
            ["shard-0", "shard-9"],
        ),
        ([*UNITS, with_rows(UNITS[0], 0, unit="shard-9")], ["shard-9"]),
        ([with_rows(UNITS[0], 40), with_rows(UNITS[0], 60), *UNITS[1:]], ["shard-0"]),
        ([*UNITS, with_rows(UNITS[0], 0)], ["shard-0"]),
    ],
    ids=["shifted", "missing", "renamed", "unknown", "in two parts", "twice, once empty"],
)
def test_wrong_units_whose_rows_add_up_fail_the_run(
    build: Callable[..., Report], units: list[ReconciledShard], named: list[str]
) -> None:
    """Unit by unit, not by one sum: what one shard has too many hides what another has lost."""
    report = build(units)
    assert sum(report.outcomes.values()) == report.rows
    assert not report.is_complete
    findings = [f for f in report.findings if f["kind"] == "unaccounted_rows"]
    assert [f["shard_id"] for f in findings] == named
    with pytest.raises(UnaccountedRowsError) as caught:
        check_complete(report)
    assert all(f"; {unit}: " in str(caught.value) for unit in named)


def test_a_missing_unit_without_rows_is_missing(build: Callable[..., Report]) -> None:
    """Nobody has looked at it."""
    assert not build([], manifest=EMPTY).is_complete
    assert build([with_rows(UNITS[2], 0)], manifest=EMPTY).is_complete


def test_the_error_names_only_the_first_units(build: Callable[..., Report]) -> None:
    """Of a run with many shards the message stays readable."""
    unknown = [with_rows(UNITS[0], 0, unit=f"shard-{i}") for i in range(5, 15)]
    with pytest.raises(UnaccountedRowsError) as caught:
        check_complete(build([*UNITS, *unknown]))
    assert str(caught.value).count("not in the run manifest") == 3
    assert "; and 7 more units; see the findings" in str(caught.value)


def test_failed_jobs_are_findings_with_the_message_of_the_service(
    build: Callable[..., Report],
) -> None:
    """A completed job is no finding, and neither is a job that is not over."""
    jobs = [
        job_of("shard-0", "Completed"),
        job_of("shard-1", "Failed", "less records"),
        job_of("shard-2", "Expired"),
        job_of("shard-3", "InProgress"),
        job_of("shard-4", None),
    ]
    report = build(jobs={job.job_name: job for job in jobs})
    assert report.attempts == 5
    assert report.jobs == {"Completed": 1, "Expired": 1, "Failed": 1, "InProgress": 1, "Unknown": 1}
    details = {f["kind"]: f["detail"] for f in report.findings if f["kind"].startswith("job_")}
    assert details == {
        "job_failed": "arn:shard-1: less records",
        "job_expired": "arn:shard-2: no message",
    }


def test_model_units_that_may_bill_are_a_finding() -> None:
    """One that is known to be over is none."""
    note = PurchaseNote(1, "bs-r", "t", "m", 2, 0.0)
    (finding,) = purchase_findings([note, replace(note, over_at=9.0, why="deleted")])
    assert (finding["kind"], finding["count"]) == ("model_units_may_bill", 2)
    assert "2 model units named bs-r are not known to be deleted" in finding["detail"]


FINDINGS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from("ab"),
        "shard_id": st.sampled_from(["", "s"]),
        "detail": st.sampled_from(["d", "e"]),
        "count": st.integers(1, 2),
    }
)


@given(st.lists(FINDINGS, max_size=12))
def test_a_finding_that_is_found_again_is_shown_once(findings: list[dict[str, Any]]) -> None:
    """Of findings that differ in one value only, all are shown, in their order."""
    assert unique(findings) == [f for n, f in enumerate(findings) if f not in findings[:n]]
