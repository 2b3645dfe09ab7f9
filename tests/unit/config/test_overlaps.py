"""No place of a config may be where publishing, or a stage, would destroy another."""

from __future__ import annotations

from typing import Any

import pytest

from bedrock_spark.errors import ConfigError
from tests.unit.fakes import CLAUDE, CLAUDE_MODEL, make_config

RUN = "s3://bucket/runs/one"
SOURCE = {"format": "parquet", "path": "s3://lake/tickets"}
NEAR = {"model_id": CLAUDE, "region": "us-west-2", "uri": "s3://west/batch"}
FAR = {"model_id": CLAUDE, "region": "eu-west-1", "uri": "s3://east/batch"}

REFUSED: list[tuple[str, str, str, dict[str, Any]]] = [
    ("results.path", "is", "run_uri", {"results": {"path": RUN}}),
    ("results.path", "is", "run_uri", {"results": {"path": "s3a://bucket/runs//one/"}}),
    ("results.path", "is below", "run_uri", {"results": {"path": f"{RUN}/results"}}),
    ("results.path", "is above", "run_uri", {"results": {"path": "s3://bucket/runs"}}),
    (
        "results.path",
        "is",
        "source.path",
        {"source": SOURCE, "results": {"path": "s3a://lake/tickets/"}},
    ),
    (
        "results.path",
        "is below",
        "source.path",
        {
            "source": SOURCE,
            "results": {"path": "s3://lake/tickets/answers"},
        },
    ),
    (
        "results.path",
        "is above",
        "source.path",
        {"source": SOURCE, "results": {"path": "s3://lake/"}},
    ),
    (
        "results.path",
        "is",
        "source.path",
        {
            "source": {"format": "json", "path": "s3://lake/*/in.json"},
            "results": {"path": "s3://lake/x/in.json"},
        },
    ),
    (
        "results.path",
        "is above",
        "source.path",
        {
            "source": {"format": "json", "path": "s3://lake/*/in.json"},
            "results": {"path": "s3://lake/x"},
        },
    ),
    (
        "results.path",
        "is",
        "targets[0].uri",
        {"targets": [NEAR], "results": {"path": "s3://west/batch"}},
    ),
    (
        "results.path",
        "is below",
        "targets[1].uri",
        {
            "targets": [NEAR, FAR],
            "results": {"path": "s3a://east/batch/out"},
        },
    ),
    (
        "results.path",
        "is above",
        "targets[0].uri",
        {
            "targets": [NEAR],
            "results": {"path": "s3://west"},
        },
    ),
    (
        "results.table",
        "is",
        "source.table",
        {
            "source": {"table": "tickets"},
            "results": {"table": "Default.`Tickets`"},
        },
    ),
    (
        "results.table",
        "is",
        "source.table",
        {
            "source": {"table": "lake.support.tickets"},
            "results": {"table": "lake.support.tickets", "mode": "append"},
        },
    ),
    (
        "results.table",
        "is",
        "source.table",
        {
            "source": {"table": "lake.support.tickets"},
            "results": {"table": "lake.support.tickets", "mode": "merge", "format": "iceberg"},
        },
    ),
    (
        "results.table",
        "is above",
        "source.table",
        {
            "source": {"table": "lake.support.tickets.tag_nightly"},
            "results": {"table": "lake.support.tickets"},
        },
    ),
    (
        "results.path",
        "is",
        "source.table",
        {
            "source": {"table": "delta.`s3://lake/tickets`"},
            "results": {"path": "s3://lake/tickets", "format": "delta"},
        },
    ),
    ("source.path", "is", "run_uri", {"source": {"format": "parquet", "path": RUN}}),
    (
        "source.path",
        "is above",
        "run_uri",
        {"source": {"format": "parquet", "path": "s3://bucket/runs"}},
    ),
    ("run_uri", "is", "targets[0].uri", {"targets": [NEAR | {"uri": RUN}]}),
    ("run_uri", "is above", "targets[0].uri", {"targets": [NEAR | {"uri": f"{RUN}/west"}]}),
    (
        "targets[0].uri",
        "is above",
        "targets[1].uri",
        {"targets": [NEAR, FAR | {"uri": "s3://west/batch/eu"}]},
    ),
]


def make_values(sections: dict[str, Any]) -> dict[str, str]:
    """Return the value of each key of a config that names a place."""
    values = {"run_uri": RUN}
    for section in ("source", "results"):
        for key, value in sections.get(section, {}).items():
            values[f"{section}.{key}"] = value
    for i, target in enumerate(sections.get("targets", ())):
        values[f"targets[{i}].uri"] = target["uri"]
    return values


@pytest.mark.parametrize(("first", "relation", "second", "sections"), REFUSED)
def test_places_that_overlap_are_refused(
    first: str, relation: str, second: str, sections: dict[str, Any]
) -> None:
    """With the config, before anything exists. The message has both keys with their values."""
    with pytest.raises(ConfigError) as refused:
        make_config(RUN, **sections)
    message = str(refused.value)
    values = make_values(sections)
    assert f"{first} = {values[first]!r} {relation} {second} = {values[second]!r}: " in message
    assert "name a place" in message or "use " in message


@pytest.mark.parametrize(
    "sections",
    [
        {"source": SOURCE, "results": {"path": "s3://lake/tickets_classified"}},
        {"source": {"table": "support.tickets"}, "results": {"table": "support.answers"}},
        {"source": {"format": "parquet", "path": f"{RUN}/input"}},
        {"targets": [NEAR, FAR, NEAR | {"model_id": CLAUDE_MODEL}]},
        {"source": {"sql": "SELECT * FROM answers"}, "results": {"table": "answers"}},
    ],
)
def test_places_that_are_apart_are_accepted(sections: dict[str, Any]) -> None:
    """Two targets of one Region may share a folder. A query's tables are not known here."""
    make_config(RUN, **sections)
