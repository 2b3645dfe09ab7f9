"""How a comparison is shown: on a terminal, as a page, in a notebook, as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from bedrock_spark import compare
from bedrock_spark.cli import main
from bedrock_spark.cli.compare import lines_of
from bedrock_spark.comparing.tables import TextTable, matrix
from bedrock_spark.comparing.values import ValuePair
from bedrock_spark.errors import ExitCode
from tests.compared_runs import write_run
from tests.unit.comparing.test_compare_runs import TYPES, rows, two_runs

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def uris(tmp_path: Path) -> tuple[str, str]:
    return two_runs(tmp_path, [*["x"] * 5, EVIL], [*["x"] * 4, "y", "x"])


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["compare", *arguments])
    assert done.exit_code == ExitCode.DONE, done.output
    return done.stdout


def test_answers_are_shown_only_if_samples_are_asked_for(uris: tuple[str, str]) -> None:
    assert "It is" not in run(*uris)
    assert "A  ok; label: <script>alert(1)</script>; text: It is" in run(*uris, "--samples", "5")


def test_the_page_needs_nothing_else_and_escapes_texts(
    uris: tuple[str, str], tmp_path: Path
) -> None:
    page = tmp_path / "c.html"
    said = run(*uris, "--samples", "5", "--html", str(page))
    assert f"page: {page}" in said
    html = page.read_text("utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert "Rows that differ" in html


def test_a_notebook_shows_tables(uris: tuple[str, str]) -> None:
    html = compare(*uris, samples=5)._repr_html_()
    assert html.startswith('<div class="bs"><style>')
    assert "<script" not in html
    assert "4 of 6 rows have the same outcome and label." in html


def test_a_notebook_says_how_many_examples_it_leaves_out(tmp_path: Path) -> None:
    found = compare(*two_runs(tmp_path, ["x"] * 23, ["y"] * 23), samples=23)
    assert len(found.examples) == 23
    html = found._repr_html_()
    assert html.count("<details") == 20
    assert "rows that differ and are not shown here, in `examples`: 3" in html


def test_json_is_the_comparison(uris: tuple[str, str]) -> None:
    """Its schema is checked by a fixture of all tests."""
    found = json.loads(run(*uris, "--json", "--samples", "1"))
    assert found["different"]["count"] == 2
    assert len(found["examples"]) == 1


def test_a_page_in_no_folder_is_refused_first(uris: tuple[str, str], tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["compare", *uris, "--html", str(tmp_path / "no" / "c.html")])
    assert done.exit_code == ExitCode.CONFIG
    assert "its folder does not exist" in done.stderr


def test_runs_without_a_common_row_are_said_to_be(tmp_path: Path) -> None:
    write_run(tmp_path / "a", rows(["x"]), TYPES)
    write_run(tmp_path / "b", rows(["x"], first=5), TYPES)
    said = run(str(tmp_path / "a"), str(tmp_path / "b"))
    assert said.endswith("no row of A has a row of B with the same key\n")


def test_numbers_are_aligned_to_the_right_and_texts_to_the_left() -> None:
    numbers = TextTable("T", ("", "n"), (("a", "1"), ("bb", "10")), "note")
    assert list(lines_of(numbers)) == ["T", "       n", "  a    1", "  bb  10", "  (note)"]
    texts = TextTable("T", ("", "A"), (("run", "x\ny"),), is_text=True)
    assert list(lines_of(texts)) == ["T", "       A", "  run  x y"]


def test_a_matrix_adds_up_what_it_does_not_name() -> None:
    pairs = [ValuePair(str(i), str(i), 20 - i) for i in range(12)]
    table = matrix("T", [*pairs, ValuePair("0", None, 3), ValuePair("0", "11", 2)], 4)
    assert table.head == ("", *(str(i) for i in range(10)), "(no value)", "(others)")
    assert table.rows[0] == ("0", "20", *["0"] * 9, "3", "2")
    assert table.rows[-1] == ("(others)", *["0"] * 11, str(20 - 10 + 20 - 11))
    assert table.note == "4 rows with rare labels are not in the table"


def test_the_cost_of_a_row_is_in_dollars(tmp_path: Path) -> None:
    types = {**TYPES, "cost_usd": pa.float64()}
    for name, cost in (("a", 0.0000123), ("b", 0.0000023)):
        own = [{**row, "cost_usd": cost} for row in rows(["x", "x"])]
        write_run(tmp_path / name, own, types)
    said = run(str(tmp_path / "a"), str(tmp_path / "b"))
    (line,) = (line.split() for line in said.splitlines() if "cost_usd" in line)
    assert line[3:7] == ["2", "$0.000012", "$0.0000023", "-$0.000010"]


def test_a_page_that_cannot_be_written_is_an_error_of_the_option(
    uris: tuple[str, str], tmp_path: Path
) -> None:
    page = tmp_path / f"{'c' * 300}.html"
    done = CliRunner().invoke(main, ["compare", *uris, "--html", str(page)])
    assert done.exit_code == ExitCode.CONFIG
    assert "cannot be written" in done.stderr


def test_no_part_of_a_table_moves_the_cursor() -> None:
    table = TextTable("T\x1b[2J", ("", "a\x07"), (("r\r", "1\n2"),), "n\x1b")
    assert all(line.isprintable() for line in lines_of(table))
