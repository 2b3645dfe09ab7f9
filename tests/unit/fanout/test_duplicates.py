"""Two jobs of one name: one stays the shard's job, the other is one finding and is stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.ledger.state import LedgerState
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import FakeBatchJobs


class Duplicated(FakeBatchJobs):
    """A service that has more than one job of a name.

    more: the other jobs; shuffle: changes the order of a listing
    """

    def __init__(self, of: FakeBatchJobs) -> None:
        super().__init__()
        self.jobs, self.calls = of.jobs, of.calls
        self.more: list[SeenJob] = []
        self.shuffle: Callable[[list[SeenJob]], list[SeenJob]] = lambda jobs: jobs

    def list(self, *args: Any, **options: Any) -> list[SeenJob]:
        after = args[1] if len(args) > 1 else options.get("after")
        more = (j for j in self.more if after is None or (j.submitted_at or 0.0) > after)
        return self.shuffle([*super().list(*args, **options), *more])

    def stop(self, job_arn: str) -> None:
        super().stop(job_arn)
        self.more = [
            replace(j, status="Stopping") if j.job_arn == job_arn and not j.is_settled else j
            for j in self.more
        ]

    def duplicate(self, name: str, times: int = 1) -> list[str]:
        """Make more jobs of a name; return their ARNs."""
        first, made = self.jobs[name], []
        for _ in range(times):
            arn = f"{first.job_arn[:-4]}9{len(self.more):03d}"
            self.more.append(replace(first, job_arn=arn, submitted_at=self.time))
            made.append(arn)
            self.time += 1.0
        return made

    def end_more(self, status: str) -> None:
        self.more = [replace(job, status=status) for job in self.more]


@pytest.fixture
def duplicated(fake_run: Callable[..., FakeRun]) -> FakeRun:
    """Return a run of three shards, each with a job."""
    return begin(fake_run([50] * 3))


def begin(fake: FakeRun) -> FakeRun:
    fake.service = Duplicated(fake.service)
    fake.restart()
    fake.advance()
    fake.advance()
    return fake


def service_of(fake: FakeRun) -> Duplicated:
    assert isinstance(fake.service, Duplicated)
    return fake.service


def ledger_of(fake: FakeRun) -> LedgerState:
    fake.controller.flush()
    return Ledger(fake.run.storage).load()


def findings(fake: FakeRun) -> list[str]:
    return [f["detail"] for f in ledger_of(fake).all_findings() if f["kind"] == "duplicate_job"]


def test_the_job_that_was_known_first_stays_the_job_of_its_shard(duplicated: FakeRun) -> None:
    """The other one is stopped, and ends without any effect on the shard."""
    service, name = service_of(duplicated), duplicated.job_name(0)
    known = service.jobs[name].job_arn
    (other,) = service.duplicate(name)
    duplicated.advance()
    assert [c for c in service.calls if c.startswith("stop")] == [f"stop {other}"]
    duplicated.advance()
    assert [c for c in service.calls if c.startswith("stop")] == [f"stop {other}"]
    service.end_more("Stopped")
    assert duplicated.advance().active == 3
    job = duplicated.controller.jobs[name]
    assert job.seen is not None
    assert (job.seen.job_arn, job.seen.status) == (known, "Submitted")
    assert findings(duplicated) == [f"{other} has the name of {known}, {name}; it is stopped"]


@pytest.mark.parametrize("ends", [False, True], ids=["both run", "the newer one ended first"])
def test_of_two_unknown_jobs_of_a_name_the_older_one_is_kept(
    duplicated: FakeRun, ends: bool
) -> None:
    """The reply to the create call was lost, and so was the ledger's object."""
    service, name = service_of(duplicated), duplicated.job_name(0)
    known = service.jobs[name].job_arn
    service.duplicate(name)
    if ends:
        service.more = [replace(job, status="Failed", ended_at=1.0) for job in service.more]
    service.shuffle = lambda jobs: jobs[::-1]
    for stored in duplicated.run.storage.list(f"{layout.LEDGER}/"):
        duplicated.run.storage.delete([stored.key])
    duplicated.restart()
    duplicated.advance()
    job = duplicated.controller.jobs[name]
    assert job.seen is not None
    assert job.seen.job_arn == known


def test_a_command_that_only_reads_stops_nothing(duplicated: FakeRun) -> None:
    """`status` looks at the jobs of a run."""
    service = service_of(duplicated)
    service.duplicate(duplicated.job_name(0))
    duplicated.controller.flush()
    before = len(duplicated.run.storage.list(""))
    duplicated.open_controller(reads_only=True).look()
    assert not [c for c in service.calls if c.startswith("stop")]
    assert len(duplicated.run.storage.list("")) == before


@given(
    st.integers(1, 3),
    st.integers(5, 25),
    st.randoms(use_true_random=False),
    st.sampled_from(["Stopped", "Completed", "Failed", None]),
    st.booleans(),
)
def test_the_ledger_does_not_grow_with_the_looks(
    tmp_path_factory: pytest.TempPathFactory,
    times: int,
    looks: int,
    random: Any,
    end: str | None,
    restarts: bool,
) -> None:
    """Each extra job is one finding, whatever the order of the listings and the number of looks."""
    fake = begin(FakeRun(tmp_path_factory.mktemp("run"), [50] * 3))
    service, name = service_of(fake), fake.job_name(0)
    service.shuffle = lambda jobs: random.sample(jobs, len(jobs))
    arns = service.duplicate(name, times)
    for look in range(looks):
        if end is not None and look == looks // 2:
            service.end_more(end)
        if restarts:
            fake.controller.flush()
            fake.restart()
        fake.advance()
    assert sorted(d.split(" ", 1)[0] for d in findings(fake)) == sorted(arns)
    # The begin of the run, the duplicates when they were found, when they ended.
    assert len(fake.run.storage.list(f"{layout.LEDGER}/")) <= 4
    fake.service.move_all("Completed", processed=50)
    assert fake.advance().is_done
