"""Every command line of the docs is run as it is printed, against the local Bedrock.

Statements that cannot run here are named in tests/doc_statements.py, with the reason. Pages whose
commands start Spark are run by `make test-long`, all others by `make test`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from bedrock_spark.cli.commands import ORDER
from tests.command_lines import calls_in
from tests.doc_statements import (
    HAVE_OWN_TEST,
    INSTEAD,
    NOT_IN_A_BLOCK,
    NOT_RUN,
    PAGES,
    SERVERS,
    Statement,
    lines_outside_blocks,
    statements_of,
)
from tests.docs import ROOT
from tests.e2e.doc_world import BEGIN_RUNS, NAMES, DocWorld
from tests.forked_emulator import BedrockServer, ForkedBedrock

_PROGRAMS = ("bedrock-spark", "spark-submit")


@pytest.fixture(scope="module")
def world(
    spark: SparkSession,
    bedrock_server: BedrockServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DocWorld]:
    """Return the world of all pages: one local Bedrock, and one run that is done."""
    local = ForkedBedrock(bedrock_server, faults=None, speed=3000.0, seed=11)
    local.start()
    yield DocWorld(local, spark, tmp_path_factory.mktemp("docs"))
    local.stop()


def pages_to_run() -> Iterator[object]:
    """Yield each page that has a statement to run; pages of Spark are marked as long."""
    for page in PAGES:
        statements = [s for s in statements_of(page) if s.why_not_run is None]
        if not statements or page in HAVE_OWN_TEST:
            continue
        is_long = page.startswith(BEGIN_RUNS) or any(s.needs_spark for s in statements)
        yield pytest.param(page, marks=[pytest.mark.long] if is_long else [])


@pytest.mark.parametrize("page", [*pages_to_run()])
def test_each_statement_of_a_page_ends_as_the_page_says(page: str, world: DocWorld) -> None:
    """With exit code 0, or one that its comment names, without a stack; and it prints something."""
    run = [s for s in statements_of(page) if s.why_not_run is None]
    assert not SERVERS.intersection(call[0] for s in run for call in calls_in(s.command))
    ended = world.run(page)
    last = ended.calls[-1] if ended.calls else None
    assert ended.code == 0, (ended.err, last)
    for call in ended.calls:
        assert call.out or call.err, call
        assert "Traceback" not in call.err, call
    assert len(ended.calls) == sum(_calls_in(s) for s in statements_of(page))


def _calls_in(statement: Statement) -> int:
    """Return how many calls of this package's programs a statement has, if it is run."""
    if statement.why_not_run is not None:
        return 0
    return sum(len(list(calls_in(statement.command, program))) for program in _PROGRAMS)


ALL = [statement for page in PAGES for statement in statements_of(page)]


def test_most_statements_are_run() -> None:
    """Else the pattern of a block, or an entry that is too wide, would hide them. No server is."""
    run = [s for s in ALL if s.why_not_run is None and s.page not in HAVE_OWN_TEST]
    assert len(run) > 120
    commands = {call[0] for s in run for call in calls_in(s.command)}
    assert set(ORDER) - commands == {
        *("demo", "environment", "schema", *SERVERS),
        *("fallback", "submit"),  # programs of spark-submit and `run` do the same
    }


@pytest.mark.parametrize(("page", "start"), NOT_RUN)
def test_what_is_not_run_is_on_its_page(page: str, start: str) -> None:
    """An entry that no statement needs is deleted."""
    assert any(s.why_not_run == (page, start) for s in ALL)


def test_no_command_stands_outside_of_a_block() -> None:
    """There it would not be run. What stands there with a reason is named, and is there."""
    found = {(page, line) for page in PAGES for line in lines_outside_blocks(page)}
    known = {key for key in found for page, start in NOT_IN_A_BLOCK if _begins(key, page, start)}
    assert found - known == set()
    assert len(known) == len(NOT_IN_A_BLOCK)


def _begins(key: tuple[str, str], page: str, start: str) -> bool:
    return key[0] == page and key[1].startswith(start)


@pytest.mark.parametrize(("page", "command"), INSTEAD)
def test_what_is_replaced_is_on_its_page(page: str, command: str) -> None:
    """An entry that no statement needs is deleted."""
    assert any((s.page, s.command) == (page, command) for s in ALL)


@pytest.mark.parametrize("pattern", NAMES)
def test_each_name_is_in_the_docs(pattern: str) -> None:
    """A name that no page has stands for nothing."""
    assert any(re.search(pattern, (ROOT / page).read_text("utf-8")) for page in PAGES)


@pytest.mark.parametrize(("page", "test"), HAVE_OWN_TEST.items())
def test_a_page_with_a_test_of_its_own_is_named_there(page: str, test: str) -> None:
    """And the test is there."""
    assert f'"{page.removeprefix("docs/")}"' in (ROOT / test).read_text("utf-8")
