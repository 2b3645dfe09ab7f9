"""A run merges small files if many have the same hashes; it deletes none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bedrock_spark.answers import compact as compaction
from bedrock_spark.answers.compact import MANY_FILES, Compacted, compact, compact_if_many
from bedrock_spark.answers.compacting import CLAIM_FILE, CLAIM_SECONDS, CompactionClaim
from bedrock_spark.answers.store import pin_files
from bedrock_spark.errors import RunHeldError
from bedrock_spark.storage import LocalStorage
from tests.unit.answers.rows import answer, found, store_at, write

NOW = 1_000_000.0


def fill(storage: LocalStorage, files: int, *, first: int = 0, apart: bool = False) -> None:
    """Write files of two answers. apart: no two of them have hashes between each other's."""
    for number in range(first, first + files):
        hashes = (2 * number, 2 * number + 1) if apart else (-(1 << 62), 1 << 62)
        rows = [answer(f"{number} {n}", hashed=hashes[n]) for n in range(2)]
        write(storage, rows, at=float(number), label=f"run-{number}")


def test_few_files_stay(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    fill(storage, MANY_FILES - 1)
    assert compact_if_many(storage, NOW) == Compacted()
    assert not storage.list(CLAIM_FILE), "nothing was written"


def test_files_of_other_hashes_stay_however_many_they_are(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    fill(storage, 2 * MANY_FILES, apart=True)
    assert compact_if_many(storage, NOW) == Compacted()


def test_many_files_become_few_and_none_is_deleted(tmp_path: Path) -> None:
    """A reader with the old list goes on; answers are found as before."""
    storage = store_at(tmp_path)
    write(storage, [answer("q", "one")])
    fill(storage, 3 * MANY_FILES)
    pinned = pin_files(storage)
    done = compact_if_many(storage, NOW)
    left = pin_files(storage)
    assert done.merged > MANY_FILES
    assert done.answers == done.kept
    assert len(left) == len(pinned) - done.merged + done.written < MANY_FILES
    assert {file.key for file in pinned} <= {o.key for o in storage.list("answers/")}
    for files in (pinned, left):
        assert found(storage, ["q"], files=files)[0] == {"q": "one"}
    assert compact_if_many(storage, NOW) == Compacted()


def test_an_answer_is_written_again_a_few_times_only(tmp_path: Path) -> None:
    """As runs add a file each: the smallest ones are merged, not all again and again."""
    storage = store_at(tmp_path)
    written = 0
    runs = 150
    for number in range(runs):
        fill(storage, 1, first=number)
        written += compact_if_many(storage, NOW + number).kept
        assert len(pin_files(storage)) < MANY_FILES
    assert written < 2 * runs * 4


def test_no_more_is_merged_than_a_run_can_wait_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = store_at(tmp_path)
    fill(storage, 3 * MANY_FILES)
    sizes = sorted(file.size for file in pin_files(storage))
    monkeypatch.setattr(compaction, "_MOST_BYTES", sum(sizes[:10]))
    done = compact_if_many(storage, NOW)
    assert 2 <= done.merged <= 10
    monkeypatch.setattr(compaction, "_MOST_BYTES", 1)
    assert compact_if_many(storage, NOW) == Compacted()


def test_one_process_compacts_at_a_time(tmp_path: Path) -> None:
    """A run goes on without, the command says so, and a claim that was left ends by the clock."""
    storage = store_at(tmp_path)
    fill(storage, MANY_FILES)
    other = CompactionClaim(storage)
    other.acquire(NOW)
    assert compact_if_many(storage, NOW + 1) == Compacted()
    with pytest.raises(RunHeldError, match="another process compacts this store, until"):
        compact(storage, NOW + CLAIM_SECONDS - 1)
    assert compact_if_many(storage, NOW + CLAIM_SECONDS).merged
    with pytest.raises(RunHeldError):
        other.renew(NOW)
    other.release()
    fill(storage, MANY_FILES, first=MANY_FILES)
    assert compact_if_many(storage, NOW + CLAIM_SECONDS).merged, "it was released"


@pytest.mark.parametrize(
    "left", [b"", b"[]", b'{"until": "x"}', json.dumps({"until": NOW * 2}).encode()]
)
def test_a_claim_that_cannot_be_is_nobodys(tmp_path: Path, left: bytes) -> None:
    storage = store_at(tmp_path)
    fill(storage, MANY_FILES)
    storage.write(CLAIM_FILE, left)
    assert compact_if_many(storage, NOW).merged
