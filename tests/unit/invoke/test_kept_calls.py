"""Answers of single calls are kept, and found before the same call is paid for again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bedrock_spark.answers import lookup
from bedrock_spark.answers.read import OpenAnswers
from bedrock_spark.answers.store import AnswersFile, pin_files
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config, TokenPrices
from bedrock_spark.invoke.kept_calls import PREVIEW, CallKeeper, accepting, find_kept
from bedrock_spark.storage import LocalStorage, Storage
from tests.unit.fakes import CLAUDE, make_config

NOW = 1_800_000_000.0
DAY = 86_400
PRICE = TokenPrices(input=Decimal(1), output=Decimal(10))


def output(text: str, stop_reason: str = "end_turn") -> bytes:
    usage = {"input_tokens": 7, "output_tokens": 3}
    content = [{"type": "text", "text": text}]
    return json.dumps({"content": content, "stop_reason": stop_reason, "usage": usage}).encode()


def config_of(folder: Path, **sections: Any) -> Config:
    answers = {"uri": str(folder / "store"), **sections.pop("answers", {})}
    return make_config(str(folder / "run"), answers=answers, **sections)


def keeper_of(config: Config, run_id: str = "run-1", model_id: str = CLAUDE) -> CallKeeper:
    return CallKeeper(config, AwsSettings(), model_id, PREVIEW, run_id, PRICE, None)


def keep(config: Config, *answers: tuple[bytes, bytes], at: float = NOW, **by: str) -> int:
    keeper = keeper_of(config, **by)
    for body, own in answers:
        keeper.add(body, own, at)
    return keeper.write(at)


def texts(config: Config, *bodies: bytes, now: float = NOW) -> dict[bytes, str]:
    found = find_kept(config, AwsSettings(), bodies, now)
    return {body: json.loads(own.output)["content"][0]["text"] for body, own in found.items()}


def test_an_answer_that_is_kept_is_found(tmp_path: Path) -> None:
    """By its body; of several, the newest."""
    config = config_of(tmp_path)
    assert texts(config, b"1", b"2") == {}
    assert keep(config, (b"1", output("old")), (b"3", output("three"))) == 2
    assert keep(config, (b"1", output("new")), at=NOW + 1) == 1
    assert texts(config, b"1", b"2", b"3", b"1") == {b"1": "new", b"3": "three"}


def test_each_file_of_the_store_is_read_once_for_all_bodies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only if it may have one of them: a preview of 20 rows must not read a store 20 times."""
    config = config_of(tmp_path)
    for number in range(6):
        keep(config, (b"%d" % number, output(f"answer {number}")))
    opened: list[str] = []

    class Counted(OpenAnswers):
        def __init__(self, storage: Storage, file: AnswersFile, **options: bool) -> None:
            opened.append(file.key)
            super().__init__(storage, file, **options)

    monkeypatch.setattr(lookup, "OpenAnswers", Counted)
    bodies = [b"%d" % number for number in range(4)]
    assert texts(config, *bodies, b"new") == {body: f"answer {int(body)}" for body in bodies}
    assert len(opened) == len(set(opened)) == len(bodies)
    assert texts(config) == {}


def test_a_row_of_the_store_says_who_has_paid_for_it(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    keep(config, (b"1", output("one")))
    (file,) = pin_files(LocalStorage(str(tmp_path / "store")))
    (row,) = pq.read_table(tmp_path / "store" / file.key).to_pylist()
    assert (row["run_id"], row["model_id"], row["served_by"]) == ("run-1", CLAUDE, "preview")
    assert (row["input_tokens"], row["output_tokens"], row["outcome"]) == (7, 3, "ok")
    assert row["cost_usd"] == pytest.approx(0.037)
    assert row["answered_at"].timestamp() == NOW


@pytest.mark.parametrize(
    ("stop_reason", "kept", "expected"),
    [
        ("end_turn", [], True),
        ("max_tokens", [], False),
        ("max_tokens", ["truncated"], True),
        ("refusal", ["truncated"], False),
    ],
)
def test_only_outcomes_of_the_config_are_kept(
    tmp_path: Path, stop_reason: str, kept: list[str], expected: bool
) -> None:
    config = config_of(tmp_path, answers={"keep": kept})
    assert keep(config, (b"1", output("x", stop_reason))) == int(expected)
    assert bool(texts(config, b"1")) == expected


@pytest.mark.parametrize(
    ("mode", "is_written", "is_read"),
    [("read_write", 1, True), ("read", 0, True), ("refresh", 1, False), ("off", 0, False)],
)
def test_the_mode_decides_what_is_read_and_written(
    tmp_path: Path, mode: str, is_written: int, is_read: bool
) -> None:
    keep(config_of(tmp_path), (b"1", output("one")))
    config = config_of(tmp_path, answers={"mode": mode})
    assert bool(texts(config, b"1")) == is_read
    assert keep(config, (b"2", output("two"))) == is_written


def test_an_answer_to_another_question_is_not_used(tmp_path: Path) -> None:
    """Of another model, too old, or not in the form that is asked for now."""
    config = config_of(tmp_path)
    keep(config, (b"1", output("one")))
    keep(config, (b"2", output("two")), model_id="amazon.nova-lite-v1:0")
    assert texts(config, b"1", b"2") == {b"1": "one"}
    aged = config_of(tmp_path, answers={"max_age": "2d"})
    assert texts(aged, b"1", now=NOW + DAY) == {b"1": "one"}
    assert texts(aged, b"1", now=NOW + 3 * DAY) == {}
    parsed = config_of(tmp_path, results={"parse": {"columns": "label string NOT NULL"}})
    assert texts(parsed, b"1") == {}


def test_many_threads_and_processes_may_keep_at_once(tmp_path: Path) -> None:
    """In the same millisecond, too: each writes a file of its own."""
    config = config_of(tmp_path)
    keepers = [keeper_of(config), keeper_of(config)]
    pairs = [(keepers[n % 2], b"%d" % n) for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: pair[0].add(pair[1], output("x"), NOW), pairs))
        assert list(pool.map(lambda keeper: keeper.write(NOW), keepers)) == [20, 20]
    assert len(texts(config, *(body for _, body in pairs))) == 40
    assert keepers[0].write(NOW) == 0


@pytest.mark.parametrize(
    "added",
    [
        b'{"errorCode":400,"errorMessage":"x",',
        b"{\n",
    ],
)
def test_what_collect_would_not_read_as_an_answer_is_not_used(tmp_path: Path, added: bytes) -> None:
    """Else the row of such an answer, which another tool wrote, would be asked by nobody."""
    accept = accepting(config_of(tmp_path))
    good = output("x")
    assert accept([good, added + good[1:], b"null", b"", good]) == [True, False, False, False, True]
