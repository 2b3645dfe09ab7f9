"""A kept answer is found by the digest of its request."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedrock_spark.answers.compact import compact
from bedrock_spark.answers.find import StoredAnswer, find_by_digest
from bedrock_spark.errors import AnswerStoreError
from bedrock_spark.shards.record_ids import body_hash, encode, hash_of_id
from bedrock_spark.storage import LocalStorage
from tests.unit.answers.rows import ELSEWHERE, answer, store_at, write
from tests.unit.fakes import FakeClock


def texts_of(found: tuple[StoredAnswer, ...]) -> list[str]:
    return [one.model_output.decode().split('"')[3] for one in found]


@pytest.mark.parametrize("knows_hash", [True, False])
def test_the_answers_to_a_request_the_newest_first(tmp_path: Path, knows_hash: bool) -> None:
    """Those to the same body in another context, and to other bodies, are none of them."""
    storage = store_at(tmp_path)
    old = answer("a", "old", at=1)
    write(storage, [old, answer("a", "other", context=ELSEWHERE), answer("b")])
    write(storage, [answer("a", "new", at=2), answer("c")], label="run-2")
    known = body_hash(b"a") if knows_hash else None
    digest = str(old["request_digest"])
    found = find_by_digest(storage, digest, known)
    assert texts_of(found) == ["new", "old"]
    assert (found[1].run_id, found[1].record_id) == ("run-1", "0" * 11)
    assert (found[1].cost_usd, found[1].answered_at) == (0.25, old["answered_at"])
    compact(storage, FakeClock(10.0))
    assert texts_of(find_by_digest(storage, digest, known)) == ["new"]
    assert find_by_digest(storage, "0" * 64, known) == ()


def test_files_without_the_hash_are_not_opened(tmp_path: Path) -> None:
    """Nor is anything found in a store that does not exist."""
    storage = store_at(tmp_path)
    mine, other = answer("a"), answer("b")
    write(storage, [mine])
    file = write(storage, [other], label="run-2")
    storage.write(file.key, b"damaged")
    digest = str(mine["request_digest"])
    assert texts_of(find_by_digest(storage, digest, int(mine["body_hash"]))) == ["yes"]
    with pytest.raises(AnswerStoreError, match="is no whole Parquet file"):
        find_by_digest(storage, digest)
    assert find_by_digest(LocalStorage(str(tmp_path / "none")), digest) == ()


@pytest.mark.parametrize("body", [b"a", b"b", b"", b"\xff"])
def test_a_record_id_tells_the_hash_of_its_body(body: bytes) -> None:
    assert hash_of_id(encode(body_hash(body))) == body_hash(body)


@pytest.mark.parametrize("text", [encode(1 << 64), encode((1 << 64) + 5), "short", "-" * 11])
def test_a_salted_id_tells_none(text: str) -> None:
    assert hash_of_id(text) is None
