"""What was asked is found again, under the rules of the run, and nothing else is."""

from __future__ import annotations

import errno
from contextlib import closing
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from bedrock_spark.answers import lookup, store, table
from bedrock_spark.answers.lookup import REASONS, KeptAnswers, Rules
from bedrock_spark.answers.store import HIGHEST, LOWEST, pin_files
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import AnswerStoreError
from bedrock_spark.storage import S3Storage
from tests.unit.answers.rows import DAY, ELSEWHERE, HERE, answer, found, store_at, write
from tests.unit.moto_s3 import s3_in_process

# What is kept of the body "q", how it is looked up, the answer, and why there is none.
CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str | None, str | None]] = {
    "kept": ([answer("q", "a")], {}, "a", None),
    "nothing kept": ([answer("other", "a")], {}, None, lookup.NEW),
    "newest wins": ([answer("q", "old", at=1), answer("q", "new", at=2)], {}, "new", None),
    "newest wins, in any order": (
        [answer("q", "new", at=2), answer("q", "old", at=1)],
        {},
        "new",
        None,
    ),
    "of another model": (
        [answer("q", "a", context=ELSEWHERE)],
        {},
        None,
        lookup.OTHER_REQUEST,
    ),
    "of the fallback": (
        [answer("q", "a", context=ELSEWHERE)],
        {"contexts": (HERE, ELSEWHERE)},
        "a",
        None,
    ),
    "the model before the fallback, if older, too": (
        [answer("q", "first", at=1), answer("q", "second", at=2, context=ELSEWHERE)],
        {"contexts": (HERE, ELSEWHERE)},
        "first",
        None,
    ),
    "too old": ([answer("q", "a", at=DAY)], {"oldest": DAY + 1}, None, lookup.TOO_OLD),
    "as old as it may be": ([answer("q", "a", at=DAY)], {"oldest": DAY}, "a", None),
    "only one is not too old": (
        [answer("q", "old", at=1), answer("q", "new", at=DAY)],
        {"oldest": 2},
        "new",
        None,
    ),
    "another outcome": (
        [answer("q", "a", outcome="truncated")],
        {},
        None,
        lookup.NOT_ACCEPTED,
    ),
    "another outcome that counts": (
        [answer("q", "a", outcome="truncated")],
        {"outcomes": ("ok", "truncated")},
        "a",
        None,
    ),
    "an older one that is ok, and a newer one that is not": (
        [answer("q", "whole", at=1), answer("q", "cut", at=2, outcome="truncated")],
        {"outcomes": ("ok", "truncated")},
        "whole",
        None,
    ),
    "one that is ok of the fallback, and one that is not of the model": (
        [
            answer("q", "cut", at=2, outcome="truncated"),
            answer("q", "whole", at=1, context=ELSEWHERE),
        ],
        {"contexts": (HERE, ELSEWHERE), "outcomes": ("ok", "truncated")},
        "whole",
        None,
    ),
    "refused by the run": ([answer("q", "a")], {"refused": ["a"]}, None, lookup.NOT_ACCEPTED),
    "the newest refused, an older one not": (
        [answer("q", "good", at=1), answer("q", "bad", at=2)],
        {"refused": ["bad"]},
        "good",
        None,
    ),
    "that of the model refused, that of the fallback not": (
        [answer("q", "bad", at=2), answer("q", "good", at=1, context=ELSEWHERE)],
        {"contexts": (HERE, ELSEWHERE), "refused": ["bad"]},
        "good",
        None,
    ),
    "another body with the same hash": (
        [answer("other", "wrong", hashed=7)],
        {"hashed": 7},
        None,
        lookup.OTHER_REQUEST,
    ),
    "beside another body with the same hash": (
        [answer("other", "wrong", hashed=7, at=9), answer("q", "right", hashed=7)],
        {"hashed": 7},
        "right",
        None,
    ),
    "the lowest hash": ([answer("q", "a", hashed=-(2**63))], {"hashed": -(2**63)}, "a", None),
    "the highest hash": ([answer("q", "a", hashed=2**63 - 1)], {"hashed": 2**63 - 1}, "a", None),
}


@pytest.mark.parametrize("together", [True, False], ids=["one file", "a file each"])
@pytest.mark.parametrize(("rows", "rules", "text", "why"), CASES.values(), ids=CASES)
def test_an_answer_is_found_by_the_rules(
    tmp_path: Path,
    together: bool,
    rows: list[dict[str, Any]],
    rules: dict[str, Any],
    text: str | None,
    why: str | None,
) -> None:
    """Whether the answers are in one file or in several."""
    storage = store_at(tmp_path)
    for number, part in enumerate([rows] if together else [[row] for row in rows]):
        write(storage, part, label=f"run-{number}")
    assert found(storage, ["q"], **rules) == ({"q": text} if text else {}, {why: 1} if why else {})


BODIES = st.integers(0, 40).map(str)


@given(
    st.lists(st.tuples(BODIES, st.integers(0, 9), st.booleans()), max_size=60),
    st.sets(BODIES, max_size=30),
    st.integers(0, 5),
    st.integers(1, 4),
    st.booleans(),
)
def test_a_lookup_is_the_search_through_all_rows(
    tmp_path_factory: pytest.TempPathFactory,
    kept: list[tuple[str, int, bool]],
    asked: set[str],
    oldest: int,
    files: int,
    is_streamed: bool,
) -> None:
    """However the rows are spread over files, and if some of them come with the questions."""
    storage = store_at(tmp_path_factory.mktemp("store"))
    rows = [
        answer(body, f"{body}@{at}", at=at, context=HERE if is_here else ELSEWHERE)
        for body, at, is_here in kept
    ]
    streamed = rows[0::files] if is_streamed else []
    for number in range(1 if is_streamed else 0, files):
        if part := rows[number::files]:
            write(storage, part, label=f"run-{number}")
    newest: dict[str, int] = {}
    for body, at, is_here in kept:
        if is_here and at >= oldest:
            newest[body] = max(at, newest.get(body, -1))
    expected = {body: f"{body}@{at}" for body, at in newest.items() if body in asked}
    answers, why = found(storage, sorted(asked), oldest=oldest, streamed=streamed)
    assert answers == expected
    assert sum(why.values()) == len(asked) - len(expected)


def test_only_the_row_groups_of_a_range_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a task of prepare reads its part of the store."""
    monkeypatch.setattr(table, "GROUP_ROWS", 8)
    storage = store_at(tmp_path)
    write(storage, [answer("q", hashed=number * 10) for number in range(100)])
    write(storage, [answer("q", hashed=number + 5_000) for number in range(9)], label="far")
    read: list[int] = []
    own = lookup.OpenAnswers.read

    def counted(self: lookup.OpenAnswers, group: int, columns: Any) -> pa.Table:
        read.append(group)
        return own(self, group, columns)

    monkeypatch.setattr(lookup.OpenAnswers, "read", counted)
    with closing(KeptAnswers(storage, pin_files(storage), 300, 420)) as kept:
        for start in (300, 360):
            hashes = np.arange(start, start + 61, 10)
            nobody = Rules((ELSEWHERE,), 0, ("ok",))
            done = kept.find(hashes, lambda which: [b""] * len(which), nobody, lambda outputs: [])
            assert [REASONS[number] for number in done.why] == [lookup.OTHER_REQUEST] * 7
    assert len(read) <= 2 * 3, "hashes, and the digests of candidates"


def test_hashes_in_memory_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the answers take no more memory, and are found alike."""
    monkeypatch.setattr(table, "GROUP_ROWS", 8)
    monkeypatch.setattr(lookup, "_HASH_BYTES", 3 * 8 * 8)
    monkeypatch.setattr(lookup, "_CACHE_BYTES", 1)
    storage = store_at(tmp_path)
    texts = {str(number): f"a{number}" for number in range(200)}
    for run in range(2):
        rows = [answer(body, text, at=run) for body, text in texts.items()]
        write(storage, rows, label=f"run-{run}")
    assert found(storage, list(texts))[0] == texts


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "was deleted since"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "is no whole Parquet file"),
        (lambda path: path.write_bytes(b""), "is no whole Parquet file"),
        (lambda path: path.write_bytes(b"x" * 5_000), "is no whole Parquet file"),
    ],
    ids=["deleted", "cut off", "empty", "something else"],
)
def test_a_damaged_or_deleted_file_is_an_error_that_names_it(
    tmp_path: Path, damage: Any, message: str
) -> None:
    """It never looks like a body that was not asked."""
    storage = store_at(tmp_path)
    file = write(storage, [answer("q")])
    pinned = pin_files(storage)
    damage(storage.root / file.key)
    with pytest.raises(AnswerStoreError, match=message) as caught:
        found(storage, ["q"], files=pinned)
    assert caught.value.key == file.key
    assert file.key in str(caught.value)


def test_a_file_of_other_columns_is_an_error(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    path = storage.root / "answers" / "mine.parquet"
    path.parent.mkdir()
    pa.parquet.write_table(pa.table({"body_hash": [1]}), path)
    with pytest.raises(AnswerStoreError, match="has no column request_digest"):
        found(storage, ["q"])


def test_what_duckdb_or_spark_wrote_is_read_without_statistics_and_order(tmp_path: Path) -> None:
    """Others may add files: only the columns matter."""
    storage = store_at(tmp_path)
    rows = [answer(body, body.upper()) for body in "abcdefgh"]
    own = pa.Table.from_pylist(rows, table.SCHEMA)
    path = storage.root / "answers" / "part-0.parquet"
    path.parent.mkdir()
    pa.parquet.write_table(own, path, write_statistics=False, row_group_size=3)
    assert found(storage, list("ahx"))[0] == {"a": "A", "h": "H"}


def test_a_store_in_s3_is_read_by_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not small is not read whole."""
    monkeypatch.setattr("bedrock_spark.answers.read.WHOLE_BYTES", 0)
    with s3_in_process():
        storage = S3Storage("s3://bucket/answers", AwsSettings("us-east-1", None))
        file = write(storage, [answer(str(number), f"a{number}") for number in range(50)])
        assert found(storage, ["7", "x"]) == ({"7": "a7"}, {lookup.NEW: 1})
        storage.delete([file.key])
        with pytest.raises(AnswerStoreError, match="was deleted since"):
            found(storage, ["7"], files=[file])


def test_not_all_small_files_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run and each preview adds one. The others are read by ranges, and found alike."""
    with s3_in_process():
        storage = S3Storage("s3://bucket/answers", AwsSettings("us-east-1", None))
        for number in range(5):
            write(storage, [answer(str(number), f"a{number}")], label=f"run-{number}")
        files = pin_files(storage)
        monkeypatch.setattr(lookup, "_HELD_BYTES", files[0].size + 1)
        with closing(KeptAnswers(storage, files, LOWEST, HIGHEST)) as kept:
            held = [opened.held_bytes for opened in kept._opened]
        assert held == [files[0].size, files[1].size, 0, 0, 0]
        texts = {str(number): f"a{number}" for number in range(5)}
        assert found(storage, list(texts))[0] == texts


def test_the_rows_of_a_file_must_be_sorted(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    rows = [answer("a", hashed=2), answer("b", hashed=1)]
    batches = [pa.RecordBatch.from_pylist([row], table.SCHEMA) for row in rows]
    with pytest.raises(ValueError, match="sorted by body_hash"):
        table.write_answers(storage, 0.0, "run", 0, batches)
    assert not storage.list("answers/")


def test_no_rows_make_no_file(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    assert table.write_answers(storage, 0.0, "run", 0, []) is None
    assert not storage.list("answers/")


def test_row_groups_are_bounded_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads a group holds it."""
    monkeypatch.setattr(table, "GROUP_BYTES", 20_000)
    storage = store_at(tmp_path)
    write(storage, [answer(str(n), "x" * 1_000) for n in range(100)])
    file = pa.parquet.ParquetFile(storage.root / pin_files(storage)[0].key)
    sizes = [file.metadata.row_group(g).total_byte_size for g in range(file.num_row_groups)]
    assert len(sizes) >= 5
    assert file.metadata.num_rows == 100
    assert np.all(np.array(sizes) < 40_000)


@pytest.mark.parametrize("first", [store.LOWEST, -1, 0, 1, store.HIGHEST])
def test_the_name_of_a_file_has_its_hashes(first: int) -> None:
    key = store.answers_key(1.5, "run-1", 3, first, store.HIGHEST)
    assert store.file_of(key, 10) == store.AnswersFile(key, 10, first, store.HIGHEST)


def test_names_sort_by_time_label_number_and_hash() -> None:
    keys = [
        store.answers_key(at, label, number, first, store.HIGHEST)
        for at in (1.0, 2.0)
        for label in ("a", "b")
        for number in (0, 1)
        for first in (store.LOWEST, 5)
    ]
    assert keys == sorted(keys)


def test_a_file_with_another_name_may_have_any_hash() -> None:
    file = store.file_of("answers/part-0.parquet", 10)
    assert (file.first, file.last) == (store.LOWEST, store.HIGHEST)


def test_a_range_says_how_long_its_answers_are(tmp_path: Path) -> None:
    """By the row group with the longest ones: a lookup holds as many as fit into memory."""
    storage = store_at(tmp_path)
    write(storage, [answer(body, "x") for body in "abc"], label="run-1")
    with closing(KeptAnswers(storage, pin_files(storage), LOWEST, HIGHEST)) as kept:
        assert 10 < kept.row_bytes < 1_000
    write(storage, [answer("d", "".join(map(chr, range(48, 58))) * 10_000)], label="run-2")
    with closing(KeptAnswers(storage, pin_files(storage), LOWEST, HIGHEST)) as kept:
        assert 100_000 <= kept.row_bytes < 101_000


def test_a_disk_that_fails_is_no_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever deleted the file would pay for its answers once more."""
    storage = store_at(tmp_path)
    write(storage, [answer("q")])

    def fails(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, "of the system")

    monkeypatch.setattr("bedrock_spark.answers.read.pq.read_metadata", fails)
    with pytest.raises(AnswerStoreError, match=r"Too many open files.*do not delete it"):
        found(storage, ["q"])
