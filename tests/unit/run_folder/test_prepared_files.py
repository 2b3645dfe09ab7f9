"""The files of prepare: what no manifest names is deleted, what one names is checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import KeptRows, RejectedRows, RunManifest, Shard
from bedrock_spark.run_folder.prepared_files import (
    check_shard_files,
    check_written,
    delete_prepared,
)
from bedrock_spark.storage import LocalStorage
from bedrock_spark.storage.base import StoredObject

OWN, OTHER = "0a1b2c3d4e5f", "ffffffffffff"
SHARDS = tuple(Shard(layout.shard_id(n, 0), 5, 100 + n, "x", prepare_id=OWN) for n in range(3))
MANIFEST = RunManifest("r", 16, "a INT", SHARDS, (RejectedRows(1, 1),), OWN)


class Counted(LocalStorage):
    """Counts the listings."""

    listings = 0

    def scan(self, prefix: str) -> Iterator[StoredObject]:
        """List, and count."""
        self.listings += 1
        return super().scan(prefix)


def write_prepared(storage: LocalStorage, prepare_id: str) -> set[str]:
    """Write the files of a prepare of three shards with some rejects; return their keys."""
    keys = {layout.rejects_key(1, prepare_id)}
    for shard in SHARDS:
        named = (layout.shard_key, layout.index_key, layout.rows_key)
        keys |= {key(shard.shard_id, prepare_id) for key in named}
        storage.write(layout.shard_key(shard.shard_id, prepare_id), b"x" * shard.bytes)
        storage.write(layout.index_key(shard.shard_id, prepare_id), b"index")
        storage.write(layout.rows_key(shard.shard_id, prepare_id), b"rows")
    storage.write(layout.rejects_key(1, prepare_id), b"rejects")
    return keys


def keys_of(storage: LocalStorage) -> set[str]:
    return {stored.key for stored in storage.list("")}


def test_the_files_that_the_manifest_does_not_name_are_told(tmp_path: Path) -> None:
    """Those of other prepares, and of the own prepare's other rounds. Each folder is listed once.

    Nothing is deleted: until the manifest is committed, another prepare may win.
    """
    storage = Counted(str(tmp_path))
    named = write_prepared(storage, OWN)
    assert check_written(storage, MANIFEST) == []
    assert storage.listings == 5
    others = write_prepared(storage, OTHER)
    for key in (layout.shard_key, layout.index_key, layout.rows_key):
        others.add(key(layout.shard_id(77, 0), OWN))
    others.add(layout.rejects_key(77, OWN))
    others.add(layout.kept_key(layout.kept_unit(0, 0), OTHER))
    for key in others:
        storage.write(key, b"of others")
    storage.write(layout.RUN_FILE, b"{}")
    unnamed = check_written(storage, MANIFEST)
    assert len(unnamed) == len(others)
    assert set(unnamed) == others
    assert keys_of(storage) == {*named, *others, layout.RUN_FILE}


@given(st.integers(0, 5), st.permutations(range(6)), st.data())
def test_files_are_told_apart_in_any_order_of_the_listing(
    shards: int, numbers: list[int], data: st.DataObject
) -> None:
    """S3 Express lists in no order. Each file is named, missing or another one."""
    own = tuple(
        Shard(layout.shard_id(n, 0), 5, 7, "x", prepare_id=OWN) for n in sorted(numbers[:shards])
    )
    manifest = RunManifest("r", 5 * shards, "a INT", own, (), OWN)
    named = [
        key(shard.shard_id, OWN)
        for shard in own
        for key in (layout.shard_key, layout.rows_key, layout.index_key)
    ]
    others = [
        key(layout.shard_id(n, 0), prepare_id)
        for n in numbers
        for key in (layout.shard_key, layout.rows_key, layout.index_key)
        for prepare_id in (OWN, OTHER)
        if (prepare_id == OTHER or n in numbers[shards:]) and data.draw(st.booleans())
    ]
    listed = data.draw(st.permutations([(key, 7) for key in (*named, *others)]))
    assert sorted(check_written(Listed(listed), manifest)) == sorted(others)


@pytest.mark.parametrize("but_rejects", [False, True])
def test_a_prepare_deletes_its_own_folders_only(tmp_path: Path, but_rejects: bool) -> None:
    """One that lost deletes all that it wrote; one that failed keeps its rejects, to be read."""
    storage = LocalStorage(str(tmp_path))
    kept = write_prepared(storage, OWN)
    write_prepared(storage, OTHER)
    delete_prepared(storage, OTHER, but_rejects=but_rejects)
    rejects = {layout.rejects_key(1, OTHER)} if but_rejects else set()
    assert keys_of(storage) == kept | rejects


def test_shards_as_prepare_wrote_them_pass_with_one_listing(tmp_path: Path) -> None:
    """A listing has a thousand objects a call; there is no call per shard."""
    storage = Counted(str(tmp_path))
    write_prepared(storage, OWN)
    check_shard_files(storage, OWN, SHARDS)
    assert storage.listings == 1
    check_shard_files(storage, OWN, ())
    assert storage.listings == 1


def test_a_shard_that_is_missing_or_has_another_size_is_refused(tmp_path: Path) -> None:
    """The error names it, and what is wrong with it. A shard that is not asked for may be gone."""
    storage = LocalStorage(str(tmp_path))
    write_prepared(storage, OWN)
    storage.write(SHARDS[0].key, b"cut short")
    storage.delete([SHARDS[2].key])
    with pytest.raises(
        RunFolderError, match="2 files of 3 shards are not as prepare wrote"
    ) as caught:
        check_shard_files(storage, OWN, SHARDS)
    assert f"{SHARDS[0].key} (has 9 bytes, not 100)" in str(caught.value)
    assert f"{SHARDS[2].key} (is missing)" in str(caught.value)
    check_shard_files(storage, OWN, SHARDS[1:2])


def test_each_file_of_a_folder_is_checked_and_so_is_what_else_is_in_it(tmp_path: Path) -> None:
    """A job reads every file of its folder: one too many would be paid for, too."""
    storage = LocalStorage(str(tmp_path))
    shard = Shard(layout.shard_id(0, 0), 5, 60, "x", prepare_id=OWN, files=(10, 20, 30))
    manifest = RunManifest("r", 5, "a INT", (shard,), (), OWN)
    for key, size in shard.sizes.items():
        storage.write(key, b"x" * size)
    storage.write(layout.rows_key(shard.shard_id, OWN), b"rows")
    assert check_written(storage, manifest) == []
    check_shard_files(storage, OWN, [shard])
    first, second, _ = shard.sizes
    fourth = layout.file_key(shard.key, 3)
    storage.write(first, b"cut short")
    storage.delete([second])
    storage.write(fourth, b"x")
    wrong = f"{first} (has 9 bytes, not 10), {second} (is missing), {fourth} (is not its own)"
    for check in (check_written, lambda storage, _: check_shard_files(storage, OWN, [shard])):
        with pytest.raises(RunFolderError, match=re.escape(wrong)):
            check(storage, manifest)


def test_kept_answers_are_checked_by_their_size(tmp_path: Path) -> None:
    """Nobody asks their rows again: an answer that is cut off would be lost."""
    storage = LocalStorage(str(tmp_path))
    kept = KeptRows(layout.kept_unit(0, 0), 2, 2, 12)
    manifest = RunManifest("r", 2, "a INT", (), (), OWN, kept=(kept,))
    key = layout.kept_key(kept.unit, OWN)
    storage.write(layout.rows_key(kept.unit, OWN), b"rows")
    with pytest.raises(
        RunFolderError,
        match=re.escape(
            f"1 of 2 files that the executors wrote "
            f"are not here as they wrote them: {key} (is missing)"
        ),
    ):
        check_written(storage, manifest)
    storage.write(key, b"eleven byte")
    with pytest.raises(RunFolderError, match=re.escape(f"{key} (has 11 bytes, not 12)")):
        check_written(storage, manifest)
    storage.write(key, b"twelve bytes")
    check_written(storage, manifest)


class Listed(LocalStorage):
    """A folder whose listings show some files, in any order."""

    def __init__(self, sizes: list[tuple[str, int]]) -> None:
        super().__init__("/nowhere")
        self.sizes = sizes

    def scan(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the files that are there."""
        return (StoredObject(k, size, "v") for k, size in self.sizes if k.startswith(prefix))


@st.composite
def shards_and_files(draw: st.DrawFn) -> tuple[list[Shard], list[tuple[str, int]], set[str]]:
    """Return shards, the files that are listed, and what is wrong with them."""
    numbers = draw(st.lists(st.integers(0, 120_000), max_size=6, unique=True))
    shards, listed, wrong = [], [], set()
    for number in numbers:
        sizes = draw(st.just(()) | st.lists(st.integers(1, 9), min_size=2, max_size=3).map(tuple))
        total = sum(sizes) or 7
        shard = Shard(layout.shard_id(number, 0), 5, total, "x", prepare_id=OWN, files=sizes)
        shards.append(shard)
        for key, size in shard.sizes.items():
            has = draw(st.sampled_from([size, size, size, size + 1, None]))
            if has is None:
                wrong.add(f"{key} (is missing)")
                continue
            listed.append((key, has))
            if has != size:
                wrong.add(f"{key} (has {has} bytes, not {size})")
        if draw(st.booleans()):
            folder = shard.key if sizes else layout.shards_prefix(OWN)
            other = f"{folder}another-{number}.jsonl"
            listed.append((other, 1))
            wrong |= {f"{other} (is not its own)"} if sizes else set()
    is_sorted = draw(st.booleans())
    return shards, sorted(listed) if is_sorted else draw(st.permutations(listed)), wrong


@given(shards_and_files())
def test_all_that_is_wrong_is_found_in_any_order_of_the_listing(
    drawn: tuple[list[Shard], list[tuple[str, int]], set[str]],
) -> None:
    """S3 lists by key, S3 Express in no order; shards of 100,000 buckets are not sorted by key."""
    shards, listed, wrong = drawn
    message = ""
    try:
        check_shard_files(Listed(listed), OWN, shards)
    except RunFolderError as exc:
        message = str(exc)
    named = re.findall(r"shards/[^ ]+ \([^)]*\)", message)
    assert set(named) <= wrong
    assert len(named) == min(len(wrong), 5)
    assert (f": {len(wrong)} files of {len(shards)} shards" in message) == bool(wrong)
