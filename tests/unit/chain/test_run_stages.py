"""The stages of a config, one after the other: when the next one begins, and with what money."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.chain import StageRuns, Stop, config_of_run, leave_to_others
from bedrock_spark.check_stages import check_stages
from bedrock_spark.cli import main
from bedrock_spark.cli.plan import _beside_others, _cost_of
from bedrock_spark.config import Config, parse_config
from bedrock_spark.doctor.diagnose import _without_unknown_rows
from bedrock_spark.errors import (
    BudgetError,
    ExitCode,
    OtherRunError,
    RunCleanedError,
    RunFolderError,
)
from bedrock_spark.page import render_stages
from bedrock_spark.planning.values import Money
from bedrock_spark.report import Report
from bedrock_spark.report.build import write_report
from bedrock_spark.report.values import DONE, HELD, all_outcomes
from bedrock_spark.run_folder.cleaned import Cleaned
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.ledger.events import Seen, Submitted, Submitting
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.run import begin_run, find_run, open_run
from bedrock_spark.run_folder.stages_file import stages_below
from tests.models import NOVA
from tests.unit.fakes import ROLE, FakeClock
from tests.unit.page.numbers import text_of
from tests.unit.planning.test_table import PLAN

STAGES: list[dict[str, Any]] = [
    {"name": "classify", "results": {"max_errors": 0}},
    {"name": "extract"},
    {"name": "judge", "from": "classify"},
]
NAMES = [stage["name"] for stage in STAGES]
Ended = dict[str, Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a config of three stages with a budget of $5, whose runs are local folders."""
    path = tmp_path / "documents.json"
    values = {
        "run_uri": str(tmp_path / "runs"),
        "source": {"path": "a.parquet", "key": "id"},
        "batch": {"role_arn": ROLE, "region": "us-east-1"},
        "model": NOVA,
        "request": {"prompt": "{{ body }}", "max_tokens": 9},
        "budget": 5,
        "stages": STAGES,
    }
    path.write_text(json.dumps(values))
    return path


class Runs:
    """Runs of the stages, of which nothing is asked: `ends` says how each ends."""

    def __init__(self, file: Path, stages: list[dict[str, Any]] | None = None) -> None:
        if stages is not None:
            values = json.loads(file.read_text())
            file.write_text(json.dumps({**values, "stages": stages}))
        found = check_stages(file)
        assert found is not None
        self.opened: dict[str, Config] = {}
        self.ends: dict[str, Ended | Exception] = {}
        self.runs = StageRuns(found, self._open)

    def run(self) -> Stop | None:
        """Run the stages that are left."""
        return self.runs.run(lambda stage, pipeline: self._end(stage.name, pipeline))

    def _open(self, config: Config) -> Any:
        self.opened[config.run_uri.rpartition("/")[2]] = config
        # Another run as the source would have to exist.
        plain = config.model_copy(
            update={"source": parse_config(config_without_run(config)).source}
        )
        return SimpleNamespace(run=begin_run(open_run(plain, FakeClock(1_000.0))))

    def _end(self, name: str, pipeline: Any) -> Report:
        end = self.ends.get(name, {})
        if isinstance(end, Exception):
            raise end
        counts = end.get("outcomes", {"ok": 10})
        report = Report(
            *(pipeline.run.run_id, pipeline.run.storage.uri, sum(counts.values()), 10, 0),
            *(all_outcomes(counts), {"batch": 10, "fallback": 0}, 0, 1, {}, 1),
            *({"input": 7, "output": 8}, {}, []),
            cost={"total": end.get("cost", 1.25)},
            state=end.get("state", DONE),
            model_id=NOVA,
        )
        write_report(pipeline.run, report)
        return report


def config_without_run(config: Config) -> dict[str, Any]:
    values = config.model_dump(mode="json")
    return {**values, "source": {"path": "a.parquet", "key": ["id"]}}


def test_all_stages_run_in_order(file: Path, tmp_path: Path) -> None:
    """A report of all of them is beside their folders; each has what is left of the budget."""
    runs = Runs(file)
    assert runs.run() is None
    assert list(runs.opened) == NAMES
    left = [config.budget.max_cost_usd for config in runs.opened.values()]
    assert left == [Decimal(5), Decimal("3.75"), Decimal("2.5")]
    report = json.loads((tmp_path / "runs" / "report.json").read_text())
    assert (report["state"], report["cost"]) == ("done", 3.75)
    assert [stage["name"] for stage in report["stages"]] == NAMES
    page = text_of((tmp_path / "runs" / "report.html").read_text())
    assert "3 of 3 stages are done" in page
    # Again: each stage has what the others left of it.
    again = Runs(file)
    assert again.run() is None
    assert {c.budget.max_cost_usd for c in again.opened.values()} == {Decimal("2.5")}
    assert config_of_run(f"{file}#extract").budget.max_cost_usd == Decimal("2.5")


@pytest.mark.parametrize(
    ("end", "stages", "stop"),
    [
        ({"state": HELD}, STAGES, Stop("classify", None)),
        ({"outcomes": {"ok": 9, "error": 1}}, STAGES, Stop("classify", "1 of 10 rows")),
        (
            {"outcomes": {"ok": 9, "error": 1}},
            [STAGES[0], {"name": "retry", "outcome": ["error", "missing"]}],
            None,
        ),
        ({"outcomes": {}}, STAGES, None),
    ],
)
def test_a_stage_begins_if_the_one_before_is_well(
    file: Path, end: Ended, stages: list[dict[str, Any]], stop: Stop | None
) -> None:
    """Rows that are not ok are well if a later stage asks for them."""
    runs = Runs(file, stages)
    runs.ends["classify"] = end
    found = runs.run()
    if stop is None:
        assert found is None
        assert len(runs.opened) == len(stages)
    else:
        assert found is not None
        assert found.stage == stop.stage
        assert (found.problem or "").startswith(stop.problem or "")
        assert (found.problem is None) == (stop.problem is None)
        assert list(runs.opened) == ["classify"]


def test_nothing_follows_the_last_stage(file: Path) -> None:
    """So the sentence does not speak of later ones."""
    runs = Runs(file)
    runs.ends["judge"] = {"state": HELD}
    stop = runs.run()
    assert stop is not None
    assert stop.text == "stage judge: is not done"
    runs.ends["classify"] = {"state": HELD}
    stop = runs.run()
    assert stop is not None
    assert stop.text == "stage classify: is not done, so no later stage begins"


def test_an_error_names_its_stage(file: Path, tmp_path: Path) -> None:
    """Its kind and its attributes stay. The report says what there is."""
    runs = Runs(file)
    error = BudgetError("the job would cost $9")
    runs.ends["extract"] = error
    with pytest.raises(BudgetError) as caught:
        runs.run()
    assert caught.value is error
    assert str(error) == (
        "stage extract: the job would cost $9. The budget of $5 is that of all stages: classify "
        "cost $1.25 of it"
    )
    report = json.loads((tmp_path / "runs" / "report.json").read_text())
    assert (report["state"], report["cost"]) == ("unfinished", 1.25)
    assert [stage["report"] is None for stage in report["stages"]] == [False, True, True]
    # The next call goes on, with what is left.
    runs = Runs(file)
    assert runs.run() is None
    assert runs.opened["judge"].budget.max_cost_usd == Decimal("2.5")


def test_a_first_stage_that_is_refused_leaves_nothing_behind(file: Path, tmp_path: Path) -> None:
    """Neither is a run: another config may use the folder."""
    runs = Runs(file)

    def refuse(_: Config) -> Any:
        raise RunFolderError("no")

    runs.runs.open_run = refuse
    with pytest.raises(RunFolderError, match="stage classify: no"):
        runs.run()
    assert [path for path in (tmp_path / "runs").rglob("*") if path.is_file()] == []
    # Once a stage is begun, its folder says so.
    assert Runs(file).run() is None
    with pytest.raises(RunFolderError):
        runs.run()
    assert (tmp_path / "runs" / "stages.json").exists()
    assert json.loads((tmp_path / "runs" / "report.json").read_text())["cost"] == 3.75


@pytest.mark.parametrize(
    ("cleaned", "end", "opened"),
    [
        (["classify"], {}, ["extract", "judge"]),
        (["classify", "extract"], {}, ["judge"]),
        # The rows of the last one are the result.
        (["judge"], {}, NAMES),
        # What was not done, or not well, is not passed over.
        (["classify"], {"state": HELD}, ["classify"]),
        (["classify"], {"outcomes": {"ok": 9, "error": 1}}, ["classify"]),
    ],
)
def test_an_early_stage_that_was_cleaned_is_over(
    file: Path, tmp_path: Path, cleaned: list[str], end: Ended, opened: list[str]
) -> None:
    """The later ones go on, and its cost still counts."""
    first = Runs(file)
    first.ends["classify"] = end
    first.run()
    for name in cleaned:
        note = Cleaned(2_000.0, ("results", "report"), is_over=True)
        (tmp_path / "runs" / name / "cleaned.json").write_bytes(note.to_json())
    again = Runs(file)
    again.ends["classify"] = end
    asked: list[str] = []

    def open_run(config: Config) -> Any:
        asked.append(config.run_uri.rpartition("/")[2])
        if asked[-1] in cleaned:
            raise RunCleanedError("was cleaned")
        return again._open(config)

    again.runs.open_run = open_run
    if "judge" in cleaned or end:
        with pytest.raises(RunCleanedError):
            again.run()
        assert asked == opened
        return
    assert again.run() is None
    assert asked == opened
    report = json.loads((tmp_path / "runs" / "report.json").read_text())
    assert (report["state"], report["cost"]) == ("done", 3.75)


def test_an_error_of_the_budget_has_what_later_stages_cost_too(file: Path) -> None:
    """They leave less of it, if the command is repeated."""
    assert Runs(file).run() is None
    again = Runs(file)
    again.ends["classify"] = BudgetError("no")
    with pytest.raises(BudgetError, match=r"all stages: extract, judge cost \$2\.50 of it"):
        again.run()


MERGED: dict[str, Any] = {"results": {"table": "answers", "format": "delta", "mode": "merge"}}
RETRIED: list[dict[str, Any]] = [
    {"name": "classify", **MERGED},
    {"name": "retry", "outcome": ["error", "missing"], **MERGED},
    {"name": "judge", **MERGED},
]


@pytest.mark.parametrize(
    ("prepared", "asks_no_more", "keeps"),
    [
        # Nothing is built upon a stage before a later one is prepared.
        ([], [], []),
        (["retry"], ["classify"], ["classify"]),
        # `judge` asks no failures. `retry` merges again, because it merges over `classify`.
        (["judge"], [], ["classify"]),
        (["retry", "judge"], ["classify"], ["classify"]),
    ],
)
def test_a_stage_leaves_alone_what_later_ones_have_built_upon_it(
    file: Path,
    tmp_path: Path,
    prepared: list[str],
    asks_no_more: list[str],
    keeps: list[str],
) -> None:
    """It asks no rows that another one asks, and does not publish over their answers."""
    assert Runs(file, RETRIED).run() is None
    for name in prepared:
        (tmp_path / "runs" / name / "manifest.json").write_text("{}")
    runs = Runs(file)
    assert runs.run() is None
    opened = runs.runs.pipelines
    assert [name for name in opened if opened[name].failures_are_read] == asks_no_more
    assert [name for name in opened if opened[name].keeps_published] == keeps
    # A command about one stage knows it, too.
    for name in ("classify", "retry", "judge"):
        pipeline: Any = SimpleNamespace()
        leave_to_others(pipeline, f"{file}#{name}")
        assert pipeline.failures_are_read == (name in asks_no_more)
        assert pipeline.keeps_published == (name in keeps)


def test_what_is_spent_leaves_no_budget(file: Path) -> None:
    """A config holds no budget of zero."""
    runs = Runs(file)
    runs.ends["classify"] = {"cost": 6.0}
    assert runs.run() is None
    left = runs.opened["extract"].budget.max_cost_usd
    assert left is not None
    assert 0 < left < Decimal("0.0001")


def test_a_stage_whose_process_was_killed_counts_as_its_jobs_have_cost(file: Path) -> None:
    """It wrote no report: its ledger has the jobs."""
    before = config_of_run(f"{file}#judge").budget.max_cost_usd
    config = parse_config(config_without_run(config_of_run(f"{file}#extract")))
    run = begin_run(open_run(config, FakeClock(1_000.0)))
    shard = Shard("shard-00000-00", 200, 90_000, "x")
    commit_manifest(run.storage, RunManifest(run.run_id, 200, "`id` BIGINT", (shard,), ()))
    assert config_of_run(f"{file}#judge").budget.max_cost_usd == before == 5
    ledger = Ledger(run.storage)
    ledger.replay()
    seen = Seen("n", "arn", "Completed", None, (200, 200, 200, 0), 3.0, times=(1.0, 3.0))
    ledger.append([Submitting(shard.shard_id, 1, "n", "t", 1.0), Submitted("n", "arn", 1.0), seen])
    left = config_of_run(f"{file}#judge").budget.max_cost_usd
    assert left is not None
    assert Decimal("4.9") < left < 5
    # Its own cost is not taken off twice.
    assert config_of_run(f"{file}#extract").budget.max_cost_usd == 5


def test_a_cost_that_is_not_known_is_not_added(file: Path) -> None:
    """The sum would be too low."""
    runs = Runs(file)
    runs.run()
    first = runs.runs.reports["classify"]
    runs.runs.reports["classify"] = replace(first, cost=None)
    assert runs.runs.report().cost is None


def test_a_folder_is_of_stages_or_of_a_run(file: Path, tmp_path: Path) -> None:
    """Not of both: what one deletes could be the other's."""
    Runs(file).run()
    one = parse_config(config_without_run(config_of_run(f"{file}#classify")))
    with pytest.raises(RunFolderError, match="is the folder of several stages"):
        open_run(one.model_copy(update={"run_uri": str(tmp_path / "runs")}), FakeClock())
    with pytest.raises(RunFolderError, match=r"name one of .*/runs/classify, .*/runs/extract"):
        find_run(str(tmp_path / "runs"))
    (tmp_path / "runs" / "run.json").write_text("{}")
    with pytest.raises(OtherRunError, match="is the folder of a run without stages"):
        Runs(file).run()


@pytest.mark.parametrize(
    "stages", ['[{"name": "../other"}]', '[{"name": "a\\"><b"}]', '[{"name": 1}]', "[{}]", "3"]
)
def test_a_damaged_list_of_stages_is_refused(tmp_path: Path, stages: str) -> None:
    """A name is a part of keys, and of the page."""
    (tmp_path / "stages.json").write_text(f'{{"format": 1, "stages": {stages}}}')
    with pytest.raises(RunFolderError, match=r"stages\.json is damaged; delete it"):
        stages_below(str(tmp_path), AwsSettings("us-east-1"))


@pytest.fixture
def command(file: Path) -> Callable[..., tuple[int, Any]]:
    """Return a function that calls a command with --json."""

    def call(*words: str) -> tuple[int, Any]:
        done = CliRunner().invoke(main, [*words, "--json"])
        return done.exit_code, json.loads(done.stdout)

    return call


def test_commands_take_the_folder_of_the_stages(
    file: Path, tmp_path: Path, command: Callable[..., tuple[int, Any]]
) -> None:
    """`status` and `report` show each stage; the others name the folders to choose from."""
    runs = Runs(file)
    runs.ends["extract"] = BudgetError("no")
    with pytest.raises(BudgetError):
        runs.run()
    uri, page = str(tmp_path / "runs"), tmp_path / "page.html"
    code, found = command("status", uri)
    assert code == ExitCode.DONE
    assert [(s["name"], s["status"] is None) for s in found["stages"]] == [
        *(("classify", False), ("extract", False), ("judge", True)),
    ]
    code, found = command("report", uri, "--out", str(page))
    assert code == ExitCode.DONE
    assert (found["cost"], found["stages"][2]["report"]) == (1.25, None)
    assert "1 of 3 stages are done" in text_of(page.read_text())
    for name in ("stop", "results", "errors"):
        code, found = command(name, uri)
        assert code == ExitCode.FAILED
        assert f"name one of {uri}/classify" in found["error"]["message"]


def test_commands_with_a_config_are_about_all_stages_or_one(
    file: Path, command: Callable[..., tuple[int, Any]]
) -> None:
    """`--stage` and `#` choose one; a command that is about one run asks for it."""
    code, found = command("check", str(file))
    assert (code, [stage["name"] for stage in found["stages"]]) == (ExitCode.DONE, NAMES)
    by_option = command("check", str(file), "--stage", "extract")[1]["meaning"]
    assert by_option == command("check", f"{file}#extract")[1]["meaning"]
    assert by_option == found["stages"][1]["meaning"]
    code, found = command("advance", str(file))
    assert code == ExitCode.CONFIG
    assert "name one by --stage" in found["error"]["message"]
    s3 = ["--set", "run_uri=s3://my-bucket/runs/documents"]
    code, found = command("iam", str(file), *s3)
    assert code == ExitCode.DONE
    named = [s["Resource"] for s in found["caller"]["Statement"] if s["Sid"] == "RunFolder"]
    folders = ["", *(f"/{name}" for name in NAMES)]
    assert sorted(*named) == sorted(
        f"arn:aws:s3:::my-bucket/runs/documents{folder}/*" for folder in folders
    )
    of_one = command("iam", str(file), "--stage", "extract", *s3)[1]["caller"]["Statement"]
    read = {s["Sid"]: s for s in of_one}["OtherStages"]
    # What the other stages have cost.
    assert read["Action"] == "s3:GetObject"
    assert read["Resource"] == "arn:aws:s3:::my-bucket/runs/documents/*"
    sids = [s["Sid"] for s in found["caller"]["Statement"]]
    assert len(sids) == len(set(sids))


def test_the_page_of_stages_has_each_name_once(file: Path) -> None:
    """Elements of the pages of two stages do not have one id."""
    runs = Runs(file)
    runs.run()
    page = render_stages(runs.runs.report().as_json())
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 5
    referred = re.findall(r'(?:aria-labelledby="|href="#|url\(#)([^")]+)', page)
    assert set(referred) <= set(ids)
    assert "<script" not in page


def test_doctor_leaves_out_rows_that_a_stage_has_not_made(file: Path) -> None:
    """They are no error of a config: they are there once the stage before is done."""
    config = config_of_run(f"{file}#extract")
    assert _without_unknown_rows(config).source.run is None
    Runs(file).run()
    assert _without_unknown_rows(config) is config


def money(low: str, likely: str | None = None, high: str | None = None) -> Money:
    texts = {"low": low, "likely": likely, "high": high}
    return Money.model_validate(texts)


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ([money("1", "2", "3"), money("1", "2.5", "3")], "would cost about $4.50"),
        ([money("1", "2", "3"), money("1", None, "3")], "would cost $2.00 to $6.00"),
        ([money("1", None, None), money("1", None, "3")], "would cost $2.00 or more"),
        ([money("1", "2", "3"), None], "is not known, because a price is missing"),
    ],
)
def test_the_plans_of_stages_are_added_up(costs: list[Money | None], said: str) -> None:
    """As exactly as the least exact of them."""
    source = SimpleNamespace(records=5)
    plans: Any = [SimpleNamespace(cost=cost, source=source, to_ask=5) for cost in costs]
    assert said in _cost_of(plans)
    assert "all records" not in _cost_of(plans)


@pytest.mark.parametrize("to_ask", [4, None])
def test_the_cost_of_stages_is_that_of_all_their_records(to_ask: int | None) -> None:
    """Also of those that have an answer."""
    numbers = {"cost": money("1", "2", "3"), "source": SimpleNamespace(records=5)}
    plans: Any = [SimpleNamespace(**numbers, to_ask=left) for left in (5, to_ask)]
    assert _cost_of(plans) == "all records of the planned stages would cost about $4.00"


@pytest.mark.parametrize(
    ("earlier", "spent", "said"),
    [
        (None, {}, None),
        (money("1", "2", "3"), {}, None),
        (money("1", "2", "9"), {}, "may cost more than budget.max_cost_usd $5.00"),
        (money("1", None, None), {}, "may cost more than budget.max_cost_usd $5.00"),
        (money("4.5", None, None), {}, "costs more than budget.max_cost_usd $5.00"),
        # What is spent is a part of what the plan of the same stage says.
        (money("1", "2", "3"), {"classify": Decimal(2)}, None),
        (money("1", "2", "3"), {"classify": Decimal(2), "judge": Decimal(4)}, "costs more than"),
    ],
)
def test_the_plans_of_earlier_stages_count_against_the_common_budget(
    earlier: Money | None, spent: dict[str, Decimal], said: str | None
) -> None:
    """No money is spent on them yet, and they are asked first."""
    mine = PLAN.model_copy(update={"cost": money("1", "1.5", "2"), "pays": True, "caveats": ()})
    plans = [("classify", mine.model_copy(update={"cost": earlier})), ("extract", None)]
    caveats = _beside_others(mine, Decimal(5), plans, spent).caveats
    assert len(caveats) == (said is not None)
    assert said is None or f"with what classify would cost, it {said}" in caveats[0]
