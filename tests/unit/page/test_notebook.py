"""Run, Plan and Report as tables in notebooks."""

from __future__ import annotations

from pathlib import Path

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.page import summary, table
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import make_config
from tests.unit.page.numbers import text_of
from tests.unit.page.reports import HOSTILE, report_json


def test_a_report_shows_its_outcome_and_its_numbers(tmp_path: Path) -> None:
    text = text_of(summary(report_json(str(tmp_path))))
    assert "9,871 of 10,457 rows are answered" in text
    assert "ok by batch 9,302 (89 %) ok by fallback 569 (5.4 %) errors 212 (2 %)" in text
    assert "tokens 1,560,223 in, 201,377 out cost $1.45" in text


def test_a_run_shows_what_it_is_and_reads_nothing(tmp_path: Path) -> None:
    run = Run(
        "run-a", make_config(), LocalStorage(str(tmp_path / "none")), AwsSettings("eu-west-1")
    )
    text = text_of(run._repr_html_())
    assert "run run-a" in text
    assert "Region eu-west-1 begun not yet" in text
    assert "prompt" not in text
    assert not (tmp_path / "none").exists()


def test_values_are_escaped_and_the_style_is_that_of_the_table_alone() -> None:
    """A rule for all tables would change those of the notebook."""
    made = table(HOSTILE, [(HOSTILE, HOSTILE)], [HOSTILE], HOSTILE)
    assert "<script" not in made
    style = made.split("<style>")[1].split("</style>")[0]
    selectors = [part.split("{")[0].strip() for part in style.replace("@media", "}").split("}")]
    assert all(s.startswith((".bs", "(prefers")) for s in selectors if s)
