"""The intervals of tokens, against what they claim."""

from __future__ import annotations

import random

import pytest

from bedrock_spark.config import RequestConfig
from bedrock_spark.planning.tokens import Counted, input_tokens, measured_output, output_tokens
from bedrock_spark.run_folder.canary_results import Canary

REQUEST = RequestConfig(prompt="{{ body }}", max_tokens=100)
CANARY = Canary("m", 0.0, 10, 10, 0, line_bytes=1000, input_tokens=250, output_tokens=300)


def test_the_interval_of_a_sample_holds_the_truth_in_95_of_100_cases() -> None:
    dice = random.Random(1)
    sizes = [dice.randint(100, 900) for _ in range(5000)]
    tokens = [round(size / dice.uniform(3, 5)) for size in sizes]
    truth, tries = sum(tokens), 400
    held = 0
    for _ in range(tries):
        chosen = dice.sample(range(len(sizes)), 100)
        counted = Counted([sizes[i] for i in chosen], [tokens[i] for i in chosen])
        count = input_tokens(len(sizes), sum(sizes), counted, None)
        held += count.low <= truth <= (count.high or 0)
        assert count.likely == pytest.approx(truth, rel=0.1)
    assert 0.92 < held / tries < 0.98


def test_a_sample_of_all_records_has_no_interval() -> None:
    count = input_tokens(3, 60, Counted([10, 20, 30], [3, 5, 8]), None)
    assert (count.low, count.likely, count.high) == (16, 16, 16)


@pytest.mark.parametrize(
    ("canary", "likely", "how"),
    [(CANARY, 500, "canary"), (None, 500, "rule of thumb")],
)
def test_without_counted_tokens_the_canary_or_a_rule_estimates_them(
    canary: Canary | None, likely: int, how: str
) -> None:
    count = input_tokens(20, 2000, None, canary)
    assert count.likely == likely
    assert how in count.how
    assert count.high is not None
    assert count.low < likely < count.high


def test_without_a_measure_answers_are_between_one_token_and_the_limit() -> None:
    count = output_tokens(7, REQUEST, None, None)
    assert (count.low, count.likely, count.high) == (7, None, 700)


def test_nothing_bounds_answers_without_a_limit() -> None:
    request = RequestConfig(body={"prompt": "{{ body }}"})
    assert output_tokens(7, request, None, None).high is None
    assert output_tokens(7, request, CANARY, None).high is None


def test_the_users_mean_is_taken_as_it_is() -> None:
    count = output_tokens(7, REQUEST, CANARY, 12.5)
    assert (count.low, count.likely, count.high) == (88, 88, 88)


def test_the_interval_of_the_canary_holds_for_the_widest_answers() -> None:
    """Answers that are either empty or as long as the limit spread as much as answers can."""
    dice = random.Random(2)
    records, tries, held = 10_000, 300, 0
    answers = [100 if dice.random() < 0.3 else 1 for _ in range(records)]
    for _ in range(tries):
        seen = dice.choices(answers, k=100)
        canary = Canary("m", 0.0, 100, 100, 0, 1, 1, sum(seen))
        count = output_tokens(records, REQUEST, canary, None)
        held += count.low <= sum(answers) <= (count.high or 0)
    assert held / tries > 0.92


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], (100, None, 4000)),
        ([7], (100, 700, 4000)),
        ([10, 10, 10], (1000, 1000, 1000)),
        ([10, 20, 30], (100, 2000, 4000)),  # the interval ends at one token and at the limit
        ([19, 20, 21] * 7, (1962, 2000, 2038)),
    ],
)
def test_measured_answers_have_the_interval_of_a_mean(
    lengths: list[int], expected: tuple[int, int | None, int]
) -> None:
    """Of 100 records and at most 40 tokens; 20 degrees of freedom: t is 2.086."""
    count = measured_output(100, lengths, RequestConfig(prompt="{{ a }}", max_tokens=40))
    assert (count.low, count.likely, count.high) == expected


def test_without_records_there_are_no_tokens() -> None:
    """All answers are kept: a run costs exactly nothing."""
    for count in (input_tokens(0, 0, None, None), output_tokens(0, REQUEST, None, None)):
        assert (count.low, count.likely, count.high) == (0, 0, 0)
