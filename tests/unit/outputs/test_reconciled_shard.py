"""ReconciledShard: its JSON in the run folder, and the part of it that the controller keeps."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bedrock_spark.outputs.findings import Finding
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.outputs.reconciled_shard import CollectedJob, ReconciledShard
from bedrock_spark.run_folder.model_use import ModelUse

TEXTS = st.text(max_size=8)
# msgspec decodes whole numbers of 64 bits; Python's have no limit.
NUMBERS = st.integers(-(2**63), 2**63 - 1)
COUNTS = st.dictionaries(TEXTS, NUMBERS, max_size=3)
ID_LISTS = ("again_ids", "unanswered_ids", "fallback_files")


def tuples(values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(values, max_size=3).map(tuple)


JOBS = st.builds(
    CollectedJob,
    job_id=TEXTS,
    attempt=st.none() | NUMBERS,
    lines=COUNTS,
    input_tokens=st.none() | NUMBERS,
    output_tokens=st.none() | NUMBERS,
    images=st.none() | NUMBERS,
)
FINDINGS = st.builds(Finding, kind=TEXTS, shard_id=TEXTS, detail=TEXTS, count=NUMBERS)
REASONS = st.builds(
    Reason,
    outcome=TEXTS,
    code=st.none() | NUMBERS,
    message=TEXTS,
    count=NUMBERS,
    example=st.none() | TEXTS,
)
USES = st.builds(ModelUse, model_id=st.none() | TEXTS, tier=TEXTS, answers=NUMBERS, tokens=COUNTS)
MEMBERS: dict[str, st.SearchStrategy[object]] = {
    "unit": TEXTS,
    "rows": NUMBERS,
    "outcomes": COUNTS,
    "served_by": COUNTS,
    "tokens": COUNTS,
    "manifest_tokens": COUNTS,
    "fallback_models": tuples(USES),
    "kept_tokens": COUNTS,
    "jobs": tuples(JOBS),
    "lines": COUNTS,
    "unanswered": NUMBERS,
    "unanswered_records": NUMBERS,
    "unfound": NUMBERS,
    "unfound_records": NUMBERS,
    "again_records": NUMBERS,
    "again_ids": tuples(TEXTS),
    "limits": COUNTS,
    "raised_tokens": NUMBERS,
    "unanswered_ids": tuples(TEXTS),
    "reasons": tuples(REASONS),
    "other_reasons": NUMBERS,
    "stop_reasons": COUNTS,
    "findings": tuples(FINDINGS),
    "fallback_files": tuples(TEXTS),
    "dead_letters": st.none() | NUMBERS,
    "outputs": TEXTS,
    "jobs_known": TEXTS,
    "rules": TEXTS,
    "unanswered_digest": TEXTS,
    "fingerprint": TEXTS,
    "lengths": COUNTS,
    "labels": st.dictionaries(TEXTS, st.none() | COUNTS, max_size=3),
    "fallback_minutes": COUNTS,
    "files": st.tuples(st.text(), st.text()),
    "latency": COUNTS,
}
SHARDS = st.fixed_dictionaries(MEMBERS).map(lambda members: ReconciledShard(**members))


def test_the_properties_draw_every_member() -> None:
    """A new member of ReconciledShard needs a strategy in MEMBERS."""
    assert MEMBERS.keys() == {field.name for field in structs.fields(ReconciledShard)}


@given(SHARDS)
def test_to_json_and_from_json_are_inverse(shard: ReconciledShard) -> None:
    """For any value of every member, from bytes and from text."""
    assert ReconciledShard.from_json(shard.to_json()) == shard
    assert ReconciledShard.from_json(shard.to_json().decode()) == shard


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"unit": "s"',
        b"[]",
        b"null",
        b'{"rows": 3}',
        b'{"unit": 7}',
        b'{"unit": "s", "outcomes": {"ok": "3"}}',
        b'{"unit": "s", "findings": [{"kind": "bad_line"}]}',
        b'{"unit": "s", "jobs": [["job1", 1]]}',
        b'{"unit": "s", "unanswered_ids": null}',
    ],
)
def test_json_of_another_format_raises_a_decode_error(data: bytes) -> None:
    """Text that is no JSON, a missing unit, or a member of another type."""
    with pytest.raises(msgspec.DecodeError):
        ReconciledShard.from_json(data)


@given(SHARDS)
def test_without_ids_drops_what_grows_with_the_records(shard: ReconciledShard) -> None:
    """The ids of unanswered records, the limits of some of them, the files of the fallback."""
    before, after = structs.asdict(shard), structs.asdict(shard.without_ids())
    assert {name: after.pop(name) for name in ID_LISTS} == dict.fromkeys(ID_LISTS, ())
    assert after.pop("limits") == {}
    dropped = (*ID_LISTS, "limits")
    assert after == {name: value for name, value in before.items() if name not in dropped}
