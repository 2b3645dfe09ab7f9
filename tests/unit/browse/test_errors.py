"""The rows that are not ok, grouped, with what to do about each group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bedrock_spark.browse.errors import Group, group_errors
from bedrock_spark.cli import main
from bedrock_spark.config import Config, parse_config
from bedrock_spark.errors import ExitCode
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.run_folder import layout
from tests.models import NOVA
from tests.unit.browse.finished_run import finished_run
from tests.unit.fakes import config_values

FALLBACK = {"fallback": {"model_id": NOVA}}
PARSED = {"results": {"parse": {"columns": "label string"}}}
RETRIED = {"request": {"prompt": "{{ body }}", "on_refused": "retry"}}


def config_with(**sections: Any) -> Config:
    return parse_config({**config_values(), **sections})


def shard(unit: str, outcomes: dict[str, int], *reasons: Reason) -> ReconciledShard:
    rows = sum(outcomes.values())
    return ReconciledShard(unit=unit, rows=rows, outcomes=outcomes, reasons=reasons)


def test_groups_are_summed_over_shards_with_an_example_of_each() -> None:
    shards = [
        shard("a", {"ok": 5, "error": 2}, Reason("error", 400, "too long", 2, "id-1")),
        shard("b", {"ok": 1, "error": 3}, Reason("error", 400, "too long", 3, "id-2")),
        shard("c", {"ok": 1, "rejected": 1}, Reason("rejected", None, "body is null", 1)),
    ]
    found = group_errors(shards, config_with(), 10)
    assert found.rows == 13
    assert found.not_ok == {"error": 5, "rejected": 1}
    assert [(g.rows, g.examples) for g in found.groups] == [(5, ("id-1", "id-2")), (1, ())]


def test_small_groups_beyond_the_most_are_counted_together() -> None:
    reasons = [Reason("error", 400, f"reason {i}", i + 1, None) for i in range(5)]
    found = group_errors([shard("a", {"error": 15}, *reasons)], config_with(), 2)
    assert [group.rows for group in found.groups] == [5, 4]
    assert found.others == 6


def only_group(outcome: str, code: int | None, sections: dict[str, Any]) -> Group:
    shards = [shard("a", {outcome: 1}, Reason(outcome, code, "m", 1))]
    (group,) = group_errors(shards, config_with(**sections), 5).groups
    return group


@pytest.mark.parametrize(
    ("outcome", "code", "sections", "helps", "advice"),
    [
        ("error", 400, FALLBACK, False, "change the request or the rows"),
        ("error", 429, FALLBACK, True, "asks the fallback"),
        ("error", 500, {}, True, "fallback.model_id"),
        ("missing", None, {}, True, "fallback.model_id"),
        ("truncated", None, {}, True, "request.on_truncated=retry"),
        ("refused", None, {}, True, "request.on_refused=retry"),
        ("refused", None, RETRIED, False, "asked again"),
        ("invalid", None, PARSED, True, "results.parse.retries=1"),
        ("invalid", None, {}, False, "request.schema"),
        ("unfound", None, {}, True, "fallback.ask_unfound=true"),
        ("rejected", None, {}, False, "correct the rows"),
    ],
)
def test_each_outcome_has_its_advice(
    outcome: str, code: int | None, sections: dict[str, Any], helps: bool, advice: str
) -> None:
    group = only_group(outcome, code, sections)
    assert group.helps is helps
    assert advice in group.advice


def test_rows_without_a_reason_are_a_group_too() -> None:
    found = group_errors([shard("a", {"ok": 1, "missing": 2})], config_with(), 5)
    assert [(g.outcome, g.rows) for g in found.groups] == [("missing", 2)]


def test_the_command_reads_a_run(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    one = shard("shard-00000-00", {"ok": 4, "error": 2}, Reason("error", 400, "too long", 2, "id"))
    run.storage.write(layout.reconciliation_key(one.unit), one.to_json())
    result = CliRunner().invoke(main, ["errors", str(tmp_path)])
    assert result.exit_code == ExitCode.DONE, result.output
    assert result.stdout.splitlines() == [
        "2  error 400: too long",
        "   such as record id",
        "   asking again does not help: the model will refuse the same request again: change the "
        "request or the rows",
        f"{tmp_path}: 2 of 6 collected rows are not ok: 2 error",
    ]
    as_json = json.loads(CliRunner().invoke(main, ["errors", str(tmp_path), "--json"]).stdout)
    assert as_json["groups"][0]["examples"] == ["id"]
    assert as_json["not_ok"] == {"error": 2}


def test_a_run_that_is_not_collected_says_so(tmp_path: Path) -> None:
    finished_run(tmp_path)
    result = CliRunner().invoke(main, ["errors", str(tmp_path)])
    assert "nothing is collected yet" in result.stdout
