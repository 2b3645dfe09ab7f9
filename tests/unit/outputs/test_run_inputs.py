"""The outputs of all shards by one listing are those that a listing of each shard shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock_spark.outputs import run_inputs
from bedrock_spark.outputs.run_inputs import inputs_of, scan_inputs
from bedrock_spark.outputs.shard_outputs import shard_inputs
from bedrock_spark.storage import LocalStorage

SHARDS = [f"shard-{n:05d}-0{m}" for n in (1, 9, 10) for m in (0, 1)]
NAMES = [
    "output/{}/a1-0f/job1/x.jsonl.out",
    "output/{}/a1-0f/job1/manifest.json.out",
    "output/{}/a10-0f/job2/x.jsonl.out",
    "output/{}/a2-0f/job3/images/1.png",
    "fallback/{}/000-a.jsonl.out",
    "fallback/{}/001-b.jsonl.out",
]


@settings(max_examples=40, deadline=None)
@given(st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(SHARDS))))
def test_one_listing_shows_what_a_listing_of_each_shard_shows(
    tmp_path_factory: pytest.TempPathFactory, written: set[tuple[str, str]]
) -> None:
    """Each shard once, its objects in the same order."""
    storage = LocalStorage(str(tmp_path_factory.mktemp("run")))
    for name, shard in sorted(written):
        storage.write(name.format(shard), shard.encode())
    found = list(scan_inputs(storage))
    assert len({unit for unit, _ in found}) == len(found)
    expected = {shard: shard_inputs(storage, shard) for shard in SHARDS}
    assert dict(found) == {shard: own for shard, own in expected.items() if own}
    for few in (0, 100):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_inputs, "_FEW", few)
            assert inputs_of(storage, SHARDS) == expected


def test_nothing_is_listed_for_no_shard(tmp_path: Path) -> None:
    assert inputs_of(LocalStorage(str(tmp_path)), []) == {}
