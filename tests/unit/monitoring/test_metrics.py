"""Metrics: the same numbers for Prometheus and CloudWatch, and no harm to the run."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bedrock_spark.config.metrics import MetricsConfig
from bedrock_spark.monitoring import Monitor
from bedrock_spark.monitoring.prometheus import as_text
from bedrock_spark.monitoring.samples import METRICS, STATES, Sample
from bedrock_spark.progress import Counts, Progress
from bedrock_spark.run_folder.run import Run, open_run
from tests.modules import ROOT
from tests.unit.cli.test_closing_table import report_of
from tests.unit.fakes import FakeClock, make_config

# https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
LINE = re.compile(r'([a-z_]+)\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\\\|\\n|\\")*",?)*)\} (\S+)')
COUNTS = Counts(12, 1, 4, 7, 5, 20, 900, 300, 1_000, 10, 1.25, 5.0)


def run_at(folder: Path, **metrics: Any) -> Run:
    return open_run(make_config(str(folder / "run"), metrics=metrics), FakeClock())


def read(text: str) -> dict[tuple[str, str], float]:
    """Return the values of a text file, by metric and by the label that differs."""
    found: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        assert match is not None, line
        label = re.search(r'(?:outcome|state|stage)="(\w+)"', match[2])
        found[match[1].removeprefix("bedrock_spark_"), label[1] if label else ""] = float(match[3])
    return found


def test_both_places_have_the_numbers_of_progress_and_report(tmp_path: Path) -> None:
    run = run_at(
        tmp_path,
        textfile_folder=str(tmp_path),
        emf=str(tmp_path / "emf.log"),
        labels={"team": 'a "b"'},
    )
    monitor = Monitor(lambda: run, FakeClock())
    seen: list[Progress] = []
    observe = monitor.observing(seen.append)
    observe(Progress("batch", 1_200, 60_000, counts=COUNTS))
    (file,) = tmp_path.glob("*.prom")
    assert file.name == f"bedrock_spark-{run.run_id}.prom"
    first = read(file.read_text())
    assert (first["stage_done", "batch"], first["stage_total", "batch"]) == (1_200, 60_000)
    assert (first["slots_used", ""], first["slots", ""], first["cost_dollars", ""]) == (5, 20, 1.25)
    assert (first["state", "running"], first["state", "done"]) == (1, 0)
    assert 'team="a \\"b\\""' in file.read_text()

    monitor.end(report_of(10, {"ok": 9, "error": 1}, cost={"total": 2.5}))
    last = read(file.read_text())
    assert (last["rows", "ok"], last["rows", "error"], last["cost_dollars", ""]) == (9, 1, 2.5)
    assert (last["state", "running"], last["state", "done"]) == (0, 1)
    assert last["stage_done", "batch"] == 1_200
    assert len(seen) == 1

    lines = [json.loads(line) for line in (tmp_path / "emf.log").read_text().splitlines()]
    assert [line["state"] for line in lines] == ["running", "done"]
    (definition,) = lines[1]["_aws"]["CloudWatchMetrics"]
    assert definition["Namespace"] == "BedrockSpark"
    assert definition["Dimensions"] == [["model", "team"]]
    names = [metric["Name"] for metric in definition["Metrics"]]
    assert len(names) == len(set(names)) <= 100
    assert all(isinstance(lines[1][name], int | float) for name in names)
    assert all(isinstance(lines[1][name], str) for name in ("model", "team", "run_id"))
    assert (lines[1]["rows_ok"], lines[1]["stage_done_batch"]) == (9, 1_200)
    same = {(n.removesuffix("_batch"), "batch") if "stage" in n else (n, "") for n in names}
    assert {key for key in same if key in last} == {
        key for key in last if key[0] not in ("rows", "state", "updated_timestamp_seconds")
    }


def test_each_place_is_written_at_its_own_pace_and_at_the_end(tmp_path: Path) -> None:
    run = run_at(tmp_path, textfile_folder=str(tmp_path), emf=str(tmp_path / "emf.log"))
    clock, texts = FakeClock(), []
    monitor = Monitor(lambda: run, clock)
    observe = monitor.observing(lambda progress: None)
    for second in range(180):
        clock.time += 1
        observe(Progress("batch", second, 180))
        texts.append(next(tmp_path.glob("*.prom")).read_text())
    assert len(set(texts)) == 18
    assert len((tmp_path / "emf.log").read_text().splitlines()) == 3
    monitor.end(report_of(1, {"ok": 1}))
    assert len((tmp_path / "emf.log").read_text().splitlines()) == 4
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".bedrock")]


def test_nothing_is_written_without_a_place(tmp_path: Path) -> None:
    """And the observer is the caller's own: Spark Connect looks at which one it is."""
    run = run_at(tmp_path)
    monitor = Monitor(lambda: run, FakeClock())

    def observe(progress: Progress) -> None:
        pytest.fail("nobody observes")

    assert monitor.observing(observe) is observe
    monitor.end(report_of(1, {"ok": 1}))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing = str(tmp_path / "no" / "folder")
    run = run_at(tmp_path, textfile_folder=missing, emf=f"{missing}/emf.log")
    clock = FakeClock()
    observe = Monitor(lambda: run, clock).observing(lambda progress: None)
    for _ in range(5):
        clock.time += 100
        observe(Progress("batch", 1, 2))
    assert sorted(record.args[0] for record in caplog.records if record.args) == [  # type: ignore[index]
        "metrics.emf",
        "metrics.textfile_folder",
    ]


def test_emf_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_at(tmp_path, emf="stderr", namespace="Ours/Batch")
    Monitor(lambda: run, FakeClock()).observing(lambda _: None)(Progress("canary", 1, 5))
    captured = capsys.readouterr()
    (metrics,) = json.loads(captured.err)["_aws"]["CloudWatchMetrics"]
    assert (metrics["Namespace"], captured.out) == ("Ours/Batch", "")


LABELS = st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), st.text(), max_size=3)


@given(LABELS, st.floats(allow_nan=False, allow_infinity=False))
def test_any_label_is_one_line_and_any_value_comes_back(
    labels: dict[str, str], value: float
) -> None:
    text = as_text([Sample("slots", value, {"stage": "batch"})], labels)
    lines = [line for line in text.split("\n")[:-1] if not line.startswith("#")]
    assert len(lines) == 1
    assert float(lines[0].rpartition(" ")[2]) == pytest.approx(value, rel=1e-14)


def test_a_stage_that_begins_again_or_counts_otherwise_leaves_nothing_old(tmp_path: Path) -> None:
    """Such as a second collect, whose total is not known yet."""
    run = run_at(tmp_path, textfile_folder=str(tmp_path), emf=str(tmp_path / "emf.log"))
    clock = FakeClock()
    observe = Monitor(lambda: run, clock).observing(lambda progress: None)
    for progress in (
        Progress("prepare", 3, 4),
        Progress("collect", 5, 5),
        Progress("collect", 1, None, unit="shards"),
        Progress("collect", 2, 9),
        Progress("collect", 3, None),
    ):
        clock.time += 100
        observe(progress)
    last = read(next(tmp_path.glob("*.prom")).read_text())
    assert {key: value for key, value in last.items() if key[0].startswith("stage")} == {
        ("stage_done", "prepare"): 3,
        ("stage_total", "prepare"): 4,
        ("stage_done", "collect"): 3,
    }
    line = json.loads((tmp_path / "emf.log").read_text().splitlines()[-1])
    assert (line["stage_done_collect"], "stage_total_collect" in line) == (3, False)


def test_any_thread_may_observe(tmp_path: Path) -> None:
    """Spark's progress comes from a thread of its own."""
    run = run_at(tmp_path, emf=str(tmp_path / "emf.log"))
    clock = FakeClock()
    observe = Monitor(lambda: run, clock).observing(lambda progress: None)

    def work(number: int) -> None:
        for done in range(200):
            clock.time += 60
            observe(Progress(f"stage{number}-{done}", done, 200))

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work, number) for number in range(4)]:
            future.result()
    for text in (tmp_path / "emf.log").read_text().splitlines():
        json.loads(text)


@pytest.mark.parametrize(
    "labels",
    [
        {"a-b": "x"}, {"1a": "x"}, {"run_id": "x"}, {"__a": "x"},
        {"run_uri": "x"}, {"_aws": "x"}, {"team": ""}, {"team": " "},
    ],
)  # fmt: skip
def test_labels_that_prometheus_or_cloudwatch_refuse_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        MetricsConfig(labels=labels)


def test_the_docs_name_every_metric() -> None:
    page = (ROOT / "docs" / "operate.md").read_text("utf-8").split("## Hooks")[0]
    listed = [name for row in re.findall(r"^\| (`.*?) \|", page, re.M) for name in _names(row)]
    assert [name for name in listed if name in METRICS] == list(METRICS)
    assert STATES[0] == "running"


def _names(row: str) -> list[str]:
    return re.findall(r"`(\w+)`", row)
