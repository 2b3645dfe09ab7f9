"""The section `answers`: what it takes, and what it changes."""

from __future__ import annotations

from typing import Any

import pytest

from bedrock_spark.errors import ConfigError
from tests.unit.fakes import make_config

URI = "s3://lake/answers"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 2_592_000), ("12h", 43_200), ("90m", 5_400), ("2w", 1_209_600), ("1.5 D", 129_600)],
)
def test_an_age_is_a_number_with_a_unit(text: str, seconds: int) -> None:
    config = make_config(answers={"uri": URI, "max_age": text})
    assert config.answers is not None
    assert config.answers.max_age == seconds
    again = make_config(answers=config.answers.model_dump(mode="json"))
    assert again.answers == config.answers


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"uri": URI, "max_age": "30"}, "such as 30d"),
        ({"uri": URI, "max_age": "0d"}, "greater than or equal to 1"),
        ({"uri": URI, "mode": "write"}, "read_write"),
        ({"uri": URI, "keep": ["error"]}, "truncated"),
        ({"mode": "read"}, "answers.uri"),
        ("gs://lake/answers", "must be an s3:// URI or a local folder"),
    ],
)
def test_other_values_are_refused(section: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(answers=section)


@pytest.mark.parametrize(
    ("mode", "is_read", "is_written"),
    [
        ("read_write", True, True),
        ("read", True, False),
        ("refresh", False, True),
        ("off", False, False),
    ],
)
def test_a_mode_says_what_is_done(mode: str, is_read: bool, is_written: bool) -> None:
    config = make_config(answers={"uri": URI, "mode": mode})
    assert config.answers is not None
    assert (config.answers.is_read, config.answers.is_written) == (is_read, is_written)
    assert config.shares_records is (mode != "off")


def test_a_uri_stands_for_the_section() -> None:
    config = make_config(answers=f"{URI}/")
    assert config.answers is not None
    assert (config.answers.uri, config.answers.mode) == (URI, "read_write")


def test_what_shapes_the_records_is_fixed() -> None:
    """What is kept in the end is not."""
    fixed = make_config(answers={"uri": URI}).fixed_part()
    assert make_config(answers={"uri": URI, "keep": "truncated"}).fixed_part() == fixed
    for other in ({"mode": "read"}, {"max_age": "1d"}, {"uri": "s3://lake/others"}):
        assert make_config(answers={"uri": URI, **other}).fixed_part() != fixed


@pytest.mark.parametrize("place", ["s3://bucket/runs/one/answers", "s3://bucket/runs"])
def test_the_store_is_apart_from_the_run_folder(place: str) -> None:
    with pytest.raises(ConfigError, match=r"run_uri .* answers\.uri"):
        make_config(run_uri="s3://bucket/runs/one", answers=place)


def test_results_are_not_published_into_the_store() -> None:
    with pytest.raises(ConfigError, match=r"results\.path .* is answers\.uri"):
        make_config(answers=URI, results={"path": URI})


def test_what_is_dropped_cannot_be_kept() -> None:
    with pytest.raises(ConfigError, match=r"results\.model_output"):
        make_config(answers=URI, results={"model_output": "drop"})
    read = make_config(answers={"uri": URI, "mode": "read"}, results={"model_output": "drop"})
    assert read.shares_records


COPY = {"table": "lake.support.answers", "format": "iceberg"}


@pytest.mark.parametrize(
    ("section", "path", "has_copy"),
    [
        ({}, None, False),
        (COPY, None, True),
        ({"table": "s3://lake/copy", "format": "delta"}, "s3://lake/copy", True),
        ({"table": "delta.`s3://lake/copy`", "format": "delta"}, None, True),
        ({**COPY, "mode": "read"}, None, False),
    ],
)
def test_the_store_may_have_a_copy(
    section: dict[str, Any], path: str | None, has_copy: bool
) -> None:
    """It may change while a run goes on: prepare does not depend on it."""
    config = make_config(answers={"uri": URI, "compact": "never", **section})
    assert config.answers is not None
    assert (config.answers.table_path, config.answers.has_copy) == (path, has_copy)
    without = make_config(answers={"uri": URI, "mode": config.answers.mode})
    assert config.fixed_part() == without.fixed_part()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"table": "a.b"}, "add answers.format"),
        ({"format": "delta"}, "add answers.table"),
        ({"table": "s3://lake/copy", "format": "iceberg"}, "needs a table of the catalog"),
        ({"table": "a.b", "format": "hudi"}, "delta"),
        ({"table": f"{URI}/copy", "format": "delta"}, r"answers\.table .* is below answers\.uri"),
        ({"table": "s3://lake", "format": "delta"}, r"answers\.table .* is above answers\.uri"),
        ({"table": "t.r", "format": "delta"}, r"answers\.table .* is results\.table"),
        ({"table": "t.s", "format": "delta"}, r"answers\.table .* is source\.table"),
    ],
)
def test_a_copy_that_cannot_be(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(
            answers={"uri": URI, **section},
            results={"table": "t.r"},
            source={"table": "t.s"},
        )
