"""Places: one form for many spellings, and how two places relate."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.config.places import Place, Relation, place_of, place_of_path, place_of_table

EQUAL, ABOVE, BELOW, APART = Relation.EQUAL, Relation.ABOVE, Relation.BELOW, Relation.APART
REVERSED = {EQUAL: EQUAL, ABOVE: BELOW, BELOW: ABOVE, APART: APART}
HERE = str(Path.cwd())

PATHS = [
    ("s3://b/x", "s3a://b/x/", EQUAL),
    ("s3n://b//x/./y/..", "S3://b/x", EQUAL),
    ("s3://b", "s3://b/", EQUAL),
    ("s3://b/", "s3a://b/x/y", ABOVE),
    ("s3://b/x/y", "s3://b/x", BELOW),
    ("s3://b/x", "s3://b/xy", APART),
    ("s3://b/x", "s3://B/x", APART),
    ("s3://b/x", "s3://b/X", APART),
    ("s3://b/x", "s3://c/x", APART),
    ("s3://b/x/../../../y", "s3://b/y", EQUAL),
    ("s3://b/*", "s3://b/x", APART),
    ("/a/b", "file:/a/b", EQUAL),
    ("file:///a//b/", "/a/./b", EQUAL),
    ("/a/b/../c", "file:/a/c", EQUAL),
    ("file:///", "/a", ABOVE),
    ("a/b", f"{HERE}/a/b", EQUAL),
    (".", HERE, EQUAL),
    ("./a", "file://a", EQUAL),
    ("..", HERE, ABOVE),
    ("/a", "/A", APART),
    ("/b/x", "s3://b/x", APART),
    ("/b/x", "s3:///b/x", APART),
    ("hdfs://name:8020/a", "hdfs:///a/b", ABOVE),
    ("hdfs://name/a", "hdfs://other/a", APART),
    ("hdfs:///a", "/a", EQUAL),
    ("hdfs:///a", "file:///a", APART),
    ("dbfs:/a/b", "dbfs:/a", BELOW),
]


@pytest.mark.parametrize(("one", "other", "relation"), PATHS)
def test_the_relation_of_two_paths(one: str, other: str, relation: Relation) -> None:
    """Of whole names, not of characters: `xy` is not below `x`. It has a reverse."""
    places = place_of_path(one), place_of_path(other)
    assert places[0].relation(places[1]) is relation
    assert places[1].relation(places[0]) is REVERSED[relation]


TABLES = [
    ("t", "default.t", EQUAL),
    ("t", "spark_catalog.default.t", EQUAL),
    ("`T`", "Default.t", EQUAL),
    ("`my db`.`a.b`", "spark_catalog.`My DB`.`A.B`", EQUAL),
    ("a.b", "`a.b`", APART),
    ("db.t", "lake.db.t", APART),
    ("db.t", "db.t2", APART),
    ("lake.db.t", "LAKE.db.T", EQUAL),
    ("lake.db.t", "lake.db.t.snapshots", ABOVE),
    ("lake.db.t.tag_nightly", "lake.db.t", BELOW),
    ("`a``b`", "default.`A``B`", EQUAL),
    ("`a*`", "ab", APART),
    ("db.`a?`", "db.ab", APART),
]


@pytest.mark.parametrize(("one", "other", "relation"), TABLES)
def test_the_relation_of_two_tables(one: str, other: str, relation: Relation) -> None:
    """Names are completed by catalog and database; a branch or a tag is below its table."""
    places = place_of_table(one), place_of_table(other)
    assert places[0].relation(places[1]) is relation
    assert places[1].relation(places[0]) is REVERSED[relation]


def test_names_are_completed_by_the_sessions_catalog_and_database() -> None:
    """Which need not be Spark's defaults."""
    assert place_of_table("t", "lake", "db") == place_of_table("Lake.DB.t")
    assert place_of_table("x.t", "lake", "db") == place_of_table("lake.x.t")


@pytest.mark.parametrize("table", ["delta.`s3a://b/x/`", "parquet.`s3://b/x`"])
def test_a_table_may_be_a_path(table: str) -> None:
    """Spark reads such a name as a path."""
    assert place_of_table(table).relation(place_of_path("s3://b/x")) is EQUAL


PATTERNS = [
    ("s3://b/in/*.json", "s3://b/in/x.json", EQUAL),
    ("s3://b/in/*.json", "s3://b/in/out", APART),
    ("s3://b/in/*", "s3://b/in/out", EQUAL),
    ("s3://b/*/in", "s3://b/out", BELOW),
    ("s3://b/2026-1[0-2]/x", "s3://b/2026-11", BELOW),
    ("s3://b/{in,out}/x", "s3://b/out", BELOW),
    ("s3://b/{in,out/y}/x", "s3://b/out", ABOVE),
    ("s3://b/{in,out/y}/x", "s3://c/out", APART),
    ("s3://b/day=?", "s3://b/day=10", APART),
]


@pytest.mark.parametrize(("pattern", "path", "relation"), PATTERNS)
def test_a_pattern_relates_to_all_that_it_may_match(
    pattern: str, path: str, relation: Relation
) -> None:
    """Only the path of a source may be a pattern; in other paths, `*` is a character."""
    source, place = place_of_path(pattern, is_pattern=True), place_of_path(path)
    assert source.relation(place) is relation
    assert place.relation(source) is REVERSED[relation]


def test_a_path_is_a_pattern_only_if_it_is_asked_for() -> None:
    """The results are written to a folder of that very name."""
    place = place_of_path("s3://b/x")
    for path, table in (("s3://b/*", None), (None, "delta.`s3://b/*`")):
        named = place_of(path, table)
        assert named is not None
        assert named.relation(place) is APART
    source = place_of("s3://b/*", None, is_pattern=True)
    assert source is not None
    assert source.relation(place) is EQUAL
    assert place_of(None, None) is None


NAMES = st.sampled_from(["a", "b", "c*", "d[1]", "ä"])
PARTS = st.lists(NAMES, max_size=4)


def spelled(parts: list[str], noise: list[str]) -> str:
    """Write a path of these names, with spellings between them that change nothing."""
    joined = "/".join(["", *(f"{extra}{name}" for extra, name in zip(noise, parts, strict=True))])
    return joined or "/"


NOISES = st.lists(st.sampled_from(["", "./", "/", "x/../", ".//"]), min_size=4, max_size=4)


@given(parts=PARTS, noises=st.tuples(NOISES, NOISES), scheme=st.sampled_from(["s3", "file"]))
def test_every_spelling_of_a_path_is_one_place(
    parts: list[str], noises: tuple[list[str], list[str]], scheme: str
) -> None:
    """Slashes, dots and the scheme's generation do not matter. `str` is one of the spellings."""
    prefixes = ("s3://b", "s3a://b", "s3n://b") if scheme == "s3" else ("", "file://")
    places = [
        place_of_path(prefix + spelled(parts, noise[: len(parts)]) + end)
        for prefix in prefixes
        for noise in noises
        for end in ("", "/", "/.")
    ]
    assert {place.relation(places[0]) for place in places} == {EQUAL}
    assert {place_of_path(str(place)).relation(place) for place in places} == {EQUAL}


@given(one=PARTS, other=PARTS)
def test_the_relation_is_that_of_the_names(one: list[str], other: list[str]) -> None:
    """A place is above those whose names begin with its names."""
    relation = Place("s3", "b", tuple(one)).relation(Place("s3", "b", tuple(other)))
    if one == other:
        assert relation is EQUAL
    elif other[: len(one)] == one:
        assert relation is ABOVE
    elif one[: len(other)] == other:
        assert relation is BELOW
    else:
        assert relation is APART
