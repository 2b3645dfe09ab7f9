"""The share of the records that batch jobs may leave to the fallback."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.errors import ConfigError, FallbackShareError, RunFolderError
from bedrock_spark.fallback import rounds as rounds_module
from bedrock_spark.fallback.rounds import _settled_jobs
from bedrock_spark.fallback.share import HandedOver
from bedrock_spark.fanout import Controller
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import Run, open_run
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import FakeClock, make_config

# Three shards that a batch job takes and one below `shards.min_records`, which is 10.
SHARDS = (
    Shard("big-0", 100, 40_000, "0"),
    Shard("big-1", 90, 36_000, "1"),
    Shard("least", 10, 4_000, "3"),
)
SMALL = Shard("small", 8, 3_200, "2")
MANIFEST = RunManifest("r", 208, "a INT", (*SHARDS, SMALL), ())


def run_of(folder: Path, max_share: float | None = None, **sections: Any) -> Run:
    fallback = {"model_id": "m"} | ({} if max_share is None else {"max_share": max_share})
    return open_run(make_config(str(folder), fallback=fallback, **sections), FakeClock())


@pytest.mark.parametrize(
    ("max_share", "counts", "is_refused"),
    [
        (None, {"big-0": 20}, False),
        (None, {"big-0": 21}, True),
        (None, {"big-0": 10, "big-1": 11}, True),
        (None, {"big-0": 20, "small": 8}, False),
        (None, {"big-0": 20, "least": 1}, True),
        (None, {"small": 8}, False),
        (None, {"big-0": 100, "big-1": 90, "least": 10, "small": 8}, True),
        (1.0, {"big-0": 100, "big-1": 90, "least": 10, "small": 8}, False),
        (0.5, {"big-0": 100, "big-1": 4}, False),
        (0.5, {"big-0": 100, "big-1": 5}, True),
        (0.0, {"small": 8}, False),
        (0.0, {"big-1": 1}, True),
    ],
)
def test_more_than_the_share_is_refused(
    tmp_path: Path, max_share: float | None, counts: dict[str, int], is_refused: bool
) -> None:
    """10 % of the run's records by default. Shards too small for a batch job do not count."""
    run = run_of(tmp_path, max_share)
    if not is_refused:
        HandedOver().check(run, MANIFEST, counts)
        return
    with pytest.raises(FallbackShareError):
        HandedOver().check(run, MANIFEST, counts)


def test_the_error_says_how_many_what_they_cost_and_how_to_allow_it(tmp_path: Path) -> None:
    """Without prices it says that the cost is not known. The share it names is enough."""
    counts = {"big-0": 40, "big-1": 10, "small": 8}
    with pytest.raises(FallbackShareError) as caught:
        HandedOver().check(run_of(tmp_path / "a"), MANIFEST, counts)
    message = str(caught.value)
    assert "50 of 208 records (24.0%)" in message
    assert "the cost is" not in message
    assert "not known: set prices.fallback" in message
    assert ". Nothing was asked. " in message
    assert "--set fallback.max_share=0.25" in message
    HandedOver().check(run_of(tmp_path / "b", 0.25), MANIFEST, counts)
    assert str(pickle.loads(pickle.dumps(caught.value))) == message
    prices = {"batch": {"input": 1, "output": 1}, "fallback": {"input": 1, "output": 1}}
    with pytest.raises(FallbackShareError, match=r"would cost about \$7\.00"):
        # 50 records of 400 bytes, 4 bytes a token, and answers of 40 tokens: 5,000 + 2,000
        HandedOver().check(run_of(tmp_path / "c", prices=prices), MANIFEST, counts)


def test_the_share_that_the_error_names_is_the_least_percentage_that_allows_it(
    tmp_path: Path,
) -> None:
    """Not more: nobody is led to allow what they were not asked for."""
    run = run_of(tmp_path)
    for left in range(21, 201):
        counts = {"big-0": min(100, left), "big-1": max(0, left - 100)}
        with pytest.raises(FallbackShareError) as caught:
            HandedOver().check(run, MANIFEST, counts)
        needed = float(str(caught.value).partition("--set fallback.max_share=")[2].split(")")[0])
        assert left / 208 <= needed < left / 208 + 0.01


Counts = dict[str, int]


@pytest.mark.parametrize(
    ("rounds", "refused"),
    [
        # The limit is 20.8 records. The same records again, or fewer of them, are no new ones.
        ([{"big-0": 20}, {"big-0": 20}, {"big-0": 15}], None),
        # A shard was left out of the first round, because it had to be collected again.
        ([{"big-0": 15}, {"big-0": 5, "big-1": 5}], None),
        ([{"big-0": 15}, {"big-0": 5, "big-1": 6}], 1),
        ([{"big-0": 15}, {"big-1": 6}], 1),
        ([{"big-0": 10}, {"big-0": 1, "big-1": 5}, {"least": 6}], 2),
        # More records of a shard than before: they were found to be unanswered since then.
        ([{"big-0": 15}, {"big-0": 20}, {"big-0": 21}], 2),
        ([{"big-0": 20}, {"small": 8}, {"small": 8, "big-0": 20}], None),
        ([{"small": 8}, {"big-0": 21}], 1),
    ],
)
def test_later_rounds_are_checked_with_what_earlier_ones_asked(
    tmp_path: Path, rounds: list[Counts], refused: int | None
) -> None:
    """Each record counts once; so a round is never refused for what an earlier one may ask."""
    run, handed_over = run_of(tmp_path), HandedOver()
    for number, counts in enumerate(rounds):
        if number != refused:
            handed_over.check(run, MANIFEST, counts)
            continue
        with pytest.raises(FallbackShareError, match=r"21 of 208 .* Nothing more was asked\."):
            handed_over.check(run, MANIFEST, counts)


def test_the_exempt_records_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run below `shards.min_records` says that its records do not count."""
    run, handed_over = run_of(tmp_path), HandedOver()
    for _ in range(2):
        handed_over.check(run, MANIFEST, {"small": 8, "big-0": 3})
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "8 unanswered records are in shards below shards.min_records (10)" in caplog.text
    caplog.clear()
    HandedOver().check(run, MANIFEST, {"big-0": 3})
    assert caplog.text == ""


@pytest.mark.parametrize("share", [-0.1, 1.1, "half"])
def test_a_share_is_a_number_from_0_to_1(tmp_path: Path, share: Any) -> None:
    with pytest.raises(ConfigError, match=r"fallback\.max_share"):
        run_of(tmp_path, share)


class HeldRun(FakeRun):
    """A run of 20 shards whose first jobs answered nothing: the breaker holds it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, max_share: float) -> None:
        super().__init__(folder, [50] * 20, max_active_jobs=3)
        fallback = {"model_id": "m", "max_share": max_share}
        config = make_config(batch={"max_active_jobs": 3}, fallback=fallback)
        self.run = Run(self.run.run_id, config, self.run.storage, self.run.aws)
        self.restart()
        monkeypatch.setattr(rounds_module, "open_controller", self._open)
        self.advance()

    def _open(self, *_: object) -> Controller:
        return self.open_controller()

    def settled_jobs(self) -> int:
        return len(_settled_jobs(self.run, self.manifest, self.clock))


def test_a_held_run_goes_to_the_fallback_only_if_it_may_answer_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its shards are then done: another run submits no job for what the fallback answered."""
    fake = HeldRun(tmp_path / "half", monkeypatch, 0.99)
    fake.service.move_all("Failed")
    assert fake.advance().reason is not None
    with pytest.raises(RunFolderError, match=r"20 of 20 shards still wait.*The run is held: the "):
        fake.settled_jobs()

    fake = HeldRun(tmp_path / "all", monkeypatch, 1.0)
    with pytest.raises(RunFolderError, match="20 of 20 shards still wait"):
        fake.settled_jobs()  # not held: the jobs may answer
    for shard in (0, 1):
        fake.service.move(fake.job_name(shard), "Failed")
    assert fake.advance().active == 1
    with pytest.raises(RunFolderError, match="20 of 20 shards still wait"):
        fake.settled_jobs()  # one job is active
    fake.service.move_all("Failed")
    fake.advance()
    assert fake.settled_jobs() == 3
    fake.restart()
    fake.controller.resume()
    assert fake.advance().is_done
    assert len(fake.job_names()) == 3
