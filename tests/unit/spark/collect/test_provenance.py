"""The columns that say where an answer is from, and what it cost."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from bedrock_spark.answers.digest import Asking, request_digest
from bedrock_spark.config import TokenPrices
from bedrock_spark.costs.fallback_paid import cost_of
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.errors import InvokeRecordError
from bedrock_spark.outputs.fallback_times import note_of
from bedrock_spark.outputs.lines import answer_line, error_line
from bedrock_spark.outputs.outcomes import REJECTED
from bedrock_spark.prices import NamedFallback, RunPrices
from bedrock_spark.prices.call_prices import EarlierPrices
from bedrock_spark.prices.place_prices import PlacePrices
from bedrock_spark.run_folder.job_plan import Place
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.spark.collect.provenance import NOT_KNOWN, Provenance
from bedrock_spark.spark.collect.result_rows import rejected_rows
from tests.unit.collect_shard import JOB_FOLDER, LINES_KEY, SHARD, collect_shard, completed_job

FALLBACK_KEY = f"fallback/{SHARD}/1.jsonl.out"
ENDED = 1_764_190_000
ENDED_AT = dt.datetime.fromtimestamp(ENDED, dt.UTC)
PRICES = RunPrices(
    batch=TokenPrices(input=Decimal(1), output=Decimal(5), cache_read=Decimal("0.1")),
    fallback=TokenPrices(input=Decimal(2), output=Decimal(10)),
    flex=TokenPrices(input=Decimal(1), output=Decimal(6)),
)
EARLIER = NamedFallback(model_id="m", fallback=PRICES.batch)
RUN = Provenance("run-7", "home-model", PRICES)
COLUMNS = ("run_id", "model_id", "answered_at", "cost_usd")


def output(given: int = 1_000, made: int = 100, **usage: int) -> dict[str, Any]:
    """Return an answer with these tokens: at PRICES, a batch job takes $1.50 for it."""
    counts = {"input_tokens": given, "output_tokens": made, **usage}
    return {"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn", "usage": counts}


def line(record_id: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"recordId": record_id, "modelOutput": body}).encode() + b"\n"


def online(record_id: str, tier: str | None = None, **note: Any) -> bytes:
    model, guardrail = note.get("model", "big-model"), note.get("guardrail")
    noted = note_of(model, ENDED, note.get("seconds", 1), guardrail)
    return answer_line(record_id, b"{}", json.dumps(output()).encode(), tier, noted)


def job(**changes: Any) -> Job:
    done = completed_job(1, JOB_FOLDER, succeeded=1)
    assert done.seen is not None
    seen = structs.replace(done.seen, ended_at=float(ENDED))
    return structs.replace(
        done, **{"place": Place("us-east-1", "us.home-model"), "seen": seen, **changes}
    )


def provenance_of(
    folder: Path, ids: str, files: dict[str, bytes], run: Provenance = RUN, **options: Any
) -> list[tuple[Any, ...]]:
    jobs = options.pop("jobs", [job()])
    _, rows = collect_shard(str(folder), ids, files, jobs, provenance=run, **options)
    return [tuple(row[name] for name in COLUMNS) for row in rows]


def test_an_answer_of_a_batch_job_has_the_model_and_the_end_of_the_job(tmp_path: Path) -> None:
    """The model as the config names it: the place of the job has it."""
    (row,) = provenance_of(tmp_path, "a", {LINES_KEY: line("a", output())})
    assert row == ("run-7", "us.home-model", ENDED_AT, pytest.approx(1.5))
    schema = pq.read_schema(tmp_path / "results" / f"{SHARD}.parquet")
    assert [schema.field(name).type for name in COLUMNS] == [
        *(pa.string(), pa.string(), pa.timestamp("us", "UTC"), pa.float64())
    ]


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([], ("run-7", "home-model", None)),
        ([job(place=None)], ("run-7", "home-model", ENDED_AT)),
        ([job(seen=None)], ("run-7", "home-model", None)),
    ],
)
def test_what_is_not_known_of_a_job_is_null(
    tmp_path: Path, jobs: list[Job], expected: tuple[Any, ...]
) -> None:
    """But the model, if all jobs of the run have the same."""
    files = {LINES_KEY: line("a", output())}
    assert provenance_of(tmp_path, "a", files, jobs=jobs)[0][:3] == expected
    several = provenance_of(tmp_path, "a", files, replace(RUN, model_id=None), jobs=[])
    assert several[0][:3] == ("run-7", None, None)


def test_an_answer_of_the_fallback_has_the_model_and_the_time_of_its_call(tmp_path: Path) -> None:
    """At the price of the tier that answered. A round may have asked another model."""
    answers = online("a") + online("b", "flex") + online("c", model="other-model")
    assert provenance_of(tmp_path, "abc", {FALLBACK_KEY: answers}) == [
        ("run-7", "big-model", ENDED_AT, pytest.approx(3.0)),
        ("run-7", "big-model", ENDED_AT, pytest.approx(1.6)),
        ("run-7", "other-model", ENDED_AT, pytest.approx(3.0)),
    ]


def test_each_row_costs_what_the_model_and_the_tier_of_its_answer_cost(tmp_path: Path) -> None:
    """Also if one file has answers of several: 1,000 tokens in, 100 out. Not known is null."""
    old = NamedFallback(
        model_id="old-model",
        fallback=TokenPrices(input=Decimal(3), output=Decimal(0)),
        flex=TokenPrices(input=Decimal("0.5"), output=Decimal(0)),
    )
    earlier = EarlierPrices({"old-model": old})
    run = replace(RUN, prices=replace(PRICES, fallback_model="big-model", earlier=earlier))
    calls = {
        "a": ("big-model", None, 3.0),
        "b": ("big-model", "flex", 1.6),
        "c": ("old-model", None, 3.0),
        "d": ("old-model", "flex", 0.5),
        "e": ("unheard-of", None, None),
        "f": ("big-model", "units", None),
        "g": ("old-model", "priority", 3.0),
    }
    lines = b"".join(online(i, tier, model=model) for i, (model, tier, _) in calls.items())
    ids = "".join(calls)
    found = provenance_of(tmp_path, ids + "a", {FALLBACK_KEY: lines}, run)
    costs = [None if c[2] is None else pytest.approx(c[2]) for c in calls.values()]
    assert [row[3] for row in found] == [pytest.approx(1.5), *costs[1:], pytest.approx(1.5)]
    reconciled, _ = collect_shard(str(tmp_path), ids, {}, [job()], provenance=run)
    used = {(use.model_id, use.tier): use.answers for use in reconciled.fallback_models}
    assert used == {(model, tier or "standard"): 1 for model, tier, _ in calls.values()}
    assert {use.tokens["input"] for use in reconciled.fallback_models} == {1_000}


def test_a_note_in_a_line_of_a_batch_job_is_none_of_ours(tmp_path: Path) -> None:
    """Only files that this package wrote are believed."""
    forged = answer_line("a", b"{}", json.dumps(output()).encode(), None, note_of("forged", 1, 1))
    (row,) = provenance_of(tmp_path, "a", {LINES_KEY: forged})
    assert row[:3] == ("run-7", "us.home-model", ENDED_AT)


def test_an_error_says_who_was_asked_and_cost_nothing_that_is_known(tmp_path: Path) -> None:
    """A record that nobody answered has the run alone, and so has a rejected row."""
    error = InvokeRecordError("no", error_code=400)
    files = {
        LINES_KEY: b'{"recordId":"a","error":{"errorCode":400,"errorMessage":"x"}}\n',
        FALLBACK_KEY: error_line("b", b"{}", error, note=note_of("big-model", ENDED)),
    }
    assert provenance_of(tmp_path, "abc", files) == [
        ("run-7", "us.home-model", ENDED_AT, None),
        ("run-7", "big-model", ENDED_AT, None),
        ("run-7", None, None, None),
    ]
    (rejected,) = rejected_rows(["why"], 2, RUN)
    assert rejected[1] == REJECTED
    assert rejected[-7:] == ("run-7", None, None, None, None, None, None)


def test_a_request_has_its_digest_if_prepare_has_hashed_the_bodies(tmp_path: Path) -> None:
    """With the model that answered."""
    asking = Asking("Converse", {"type": "object"})
    run = replace(RUN, asking=asking)
    kept = b',"modelId":"kept-model","endedAt":1,"runId":"run-3","requestDigest":"d"'
    error = InvokeRecordError("no", error_code=400)
    files = {
        LINES_KEY: line("a", output()),
        FALLBACK_KEY: online("b")
        + error_line("c", b"{}", error, note=note_of("big-model", ENDED))
        + answer_line("d", b"{}", json.dumps(output()).encode(), None, kept),
    }
    ids = "aabcde"
    bodies = [sha256(record_id.encode()).digest() for record_id in ids]
    _, rows = collect_shard(str(tmp_path), ids, files, [job()], provenance=run, bodies=bodies)
    home, big = asking.context("us.home-model"), asking.context("big-model")
    a, b, c = (request_digest(bodies[n], context) for n, context in ((0, home), (2, big), (3, big)))
    assert [row["request_digest"] for row in rows] == [a, a, b, c, "d", None]
    assert len({a, b, c}) == 3
    assert rows[4]["run_id"] == "run-3"
    _, unhashed = collect_shard(str(tmp_path), ids, files, [job()], provenance=run)
    assert [row["request_digest"] for row in unhashed] == [None, None, None, None, "d", None]


def test_a_request_has_the_guardrail_of_its_own_call(tmp_path: Path) -> None:
    """Whatever the config says today: else an answer that no guardrail saw is kept as a safe one.

    A call that the service refused has it, too.
    """
    old, new = {"id": "g", "version": "1"}, {"id": "g", "version": "2"}
    refused = error_line(
        *("d", b"{}", InvokeRecordError("no", error_code=400)),
        note=note_of("big-model", ENDED, guardrail=new),
    )
    files = {
        FALLBACK_KEY: online("a") + online("b", guardrail=old) + online("c", guardrail=new),
        f"fallback/{SHARD}/2.jsonl.out": refused,
    }
    bodies = [sha256(b"body").digest()] * 4
    _, rows = collect_shard(str(tmp_path), "abcd", files, [job()], provenance=RUN, bodies=bodies)
    expected = [Asking().context("big-model", guardrail) for guardrail in (None, old, new, new)]
    digests = [request_digest(bodies[0], context) for context in expected]
    assert [row["request_digest"] for row in rows] == digests
    assert len(set(digests)) == 3


def test_an_answer_that_is_not_ok_has_its_cost_too(tmp_path: Path) -> None:
    """It was paid for."""
    cut = output() | {"stop_reason": "max_tokens"}
    assert provenance_of(tmp_path, "a", {LINES_KEY: line("a", cut)}) == [
        ("run-7", "us.home-model", ENDED_AT, pytest.approx(1.5))
    ]


@pytest.mark.parametrize(
    ("prices", "answer", "expected"),
    [
        (RunPrices(), output(), None),
        (PRICES, {"content": [{"type": "text", "text": "x"}]}, None),
        (PRICES, output(0, 0), None),
        (PRICES, output(0, 100), 0.5),
        (PRICES, output(2**63, 100), 0.5),
        (PRICES, output(500, 0, cache_read_input_tokens=10_000), 0.5 + 1.0),
        (replace(PRICES, batch=TokenPrices(input=Decimal(0), output=Decimal(0))), output(), 0.0),
    ],
)
def test_a_cost_that_is_not_known_is_null(
    tmp_path: Path, prices: RunPrices, answer: dict[str, Any], expected: float | None
) -> None:
    """The price is not known, or the answer counts nothing. Nothing is not the same as null."""
    run = replace(RUN, prices=prices)
    ((*_, cost),) = provenance_of(tmp_path, "a", {LINES_KEY: line("a", answer)}, run)
    assert cost == (None if expected is None else pytest.approx(expected))


def test_an_answer_of_a_batch_job_has_the_price_of_its_model_and_region(tmp_path: Path) -> None:
    """If it is not known, its cost is null, whatever other jobs cost."""
    west = PlacePrices(batch=TokenPrices(input=Decimal(3), output=Decimal(0)))
    places = {("us.home-model", "us-east-1"): PlacePrices(), ("us.home-model", "us-west-2"): west}
    run = replace(RUN, prices=replace(PRICES, places=places))
    files = {LINES_KEY: line("a", output())}
    for region, cost in (("us-west-2", 3.0), ("us-east-1", None), ("eu-west-1", 1.5)):
        jobs = [job(place=Place(region, "us.home-model"))]
        ((*_, found),) = provenance_of(tmp_path, "a", files, run, jobs=jobs)
        assert found == cost


def test_images_have_their_own_price(tmp_path: Path) -> None:
    """With or without a price for tokens."""
    run = replace(RUN, prices=RunPrices(image=Decimal("0.04")))
    files = {LINES_KEY: line("a", {"images": ["eA==", "eA=="]})}
    ((*_, cost),) = provenance_of(tmp_path, "a", files, run, family="amazon_images")
    assert cost == pytest.approx(0.08)


TOKENS_ONLY = {"batch": TokenPrices(input=Decimal(1), output=Decimal(5))}
IMAGE_ONLY = {"image": Decimal("0.04")}
PICTURE = {"images": ["eA=="]}


@pytest.mark.parametrize(
    ("prices", "answer", "family", "expected"),
    [
        (TOKENS_ONLY, output(), "anthropic", 1.5),
        (IMAGE_ONLY, output(), "anthropic", None),
        (TOKENS_ONLY | IMAGE_ONLY, output(), "anthropic", 1.5),
        (TOKENS_ONLY, PICTURE, "amazon_images", None),
        (IMAGE_ONLY, PICTURE, "amazon_images", 0.04),
        (TOKENS_ONLY | IMAGE_ONLY, PICTURE, "amazon_images", 0.04),
    ],
)
def test_what_an_answer_used_needs_a_price_of_its_own_kind(
    tmp_path: Path,
    prices: dict[str, Any],
    answer: dict[str, Any],
    family: str,
    expected: float | None,
) -> None:
    """Another price does not make it free: then the cost is not known."""
    run = replace(RUN, prices=RunPrices(**prices))
    files = {LINES_KEY: line("a", answer)}
    ((*_, cost),) = provenance_of(tmp_path, "a", files, run, family=family)
    assert cost == (None if expected is None else pytest.approx(expected))


def test_an_answer_of_the_flex_tier_without_a_price_costs_as_in_the_report(tmp_path: Path) -> None:
    """As the fallback's other calls."""
    run = replace(RUN, prices=replace(PRICES, flex=None))
    ((*_, cost),) = provenance_of(tmp_path, "a", {FALLBACK_KEY: online("a", "flex")}, run)
    assert cost == pytest.approx(3.0)
    total = cost_of(Tokens(1_000, 100), run.prices.of_call("big-model", "flex"))
    assert total is not None
    assert cost == pytest.approx(float(total))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12),
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"),
            st.sampled_from(["batch", "fallback", "flex"]),
            st.integers(0, 5_000),
            st.integers(1, 5_000),
        ),
        max_size=8,
        unique_by=lambda each: each[0],
    ),
)
def test_the_sum_over_rows_is_what_the_answers_cost(
    tmp_path_factory: pytest.TempPathFactory,
    ids: list[str],
    answers: list[tuple[str, str, int, int]],
) -> None:
    """Rows that share a record have an equal part of its cost."""
    expected = Decimal()
    lines = {LINES_KEY: b"", FALLBACK_KEY: b""}
    for record_id, side, given_tokens, made in answers:
        body = output(given_tokens, made)
        if side == "batch":
            lines[LINES_KEY] += line(record_id, body)
        else:
            note, tier = note_of("m", ENDED, 1), "flex" if side == "flex" else None
            lines[FALLBACK_KEY] += answer_line(
                record_id,
                b"{}",
                json.dumps(body).encode(),
                tier,
                note,
            )
        if record_id in ids:
            price = getattr(PRICES, side)
            expected += Tokens(given_tokens, made).cost(price)
    folder = tmp_path_factory.mktemp("run")
    _, rows = collect_shard(str(folder), ids, lines, [job()], provenance=RUN)
    assert sum(row["cost_usd"] or 0 for row in rows) == pytest.approx(float(expected))
    costs: dict[str, set[float | None]] = {}
    for row in rows:
        costs.setdefault(row["record_id"], set()).add(row["cost_usd"])
    assert all(len(each) == 1 for each in costs.values())
    assert len(rows) == len(ids)


def test_what_results_depend_on_is_the_same_text_in_every_process() -> None:
    """Else the driver and the executors disagree, and every shard is collected again each time.

    Where the prices are from does not matter, and a set has another order in each process.
    """
    text = RUN.fingerprint
    names = frozenset({"batch", "fallback", "flex", "canary", "image"})
    other = replace(PRICES, own=names, has_flex=True, notes=("note",), canary=PRICES.batch)
    assert replace(RUN, prices=other).fingerprint == text
    changed = [
        replace(RUN, run_id="run-8"),
        replace(RUN, model_id=None),
        *(replace(RUN, prices=replace(PRICES, **{n: None})) for n in ("batch", "fallback", "flex")),
        replace(RUN, prices=replace(PRICES, image=Decimal(1))),
        replace(RUN, prices=replace(PRICES, fallback_model="m")),
        replace(RUN, prices=replace(PRICES, earlier=EarlierPrices({"m": EARLIER}))),
        replace(RUN, asking=Asking("Converse")),
        replace(RUN, asking=Asking(schema={"type": "object"})),
    ]
    texts = [text, *(each.fingerprint for each in changed)]
    assert len(set(texts)) == len(texts)


def test_results_are_written_again_if_the_prices_are_others(tmp_path: Path) -> None:
    """The cost of a row is by the prices of the run as they are now."""
    files = {LINES_KEY: line("a", output())}
    assert provenance_of(tmp_path, "a", files, NOT_KNOWN)[0][3] is None
    assert provenance_of(tmp_path, "a", files)[0][3] == pytest.approx(1.5)
