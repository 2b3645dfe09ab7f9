"""How many tokens a call will use: a rule of thumb at first, then learnt from earlier calls."""

from __future__ import annotations

from bedrock_spark.costs.token_estimate import TokenEstimate

BODY = b"x" * 400


def test_before_the_first_answer_there_is_a_rule_of_thumb() -> None:
    """Four bytes a token, plus the longest answer. The most has 1/16 more input tokens."""
    assert TokenEstimate(50).of(BODY) == (150, 157)
    assert TokenEstimate().of(BODY) == (100, 107)
    assert TokenEstimate(50).of(BODY, 200) == (150, 307), "an answer with a limit of its own"


def test_answers_correct_the_estimate() -> None:
    """The most still has the longest answer; if that is unknown, the mean answer."""
    limited, unlimited = TokenEstimate(500), TokenEstimate()
    for estimate in (limited, unlimited):
        for _ in range(10):
            estimate.learn(BODY, 200, 30)
    assert limited.of(BODY) == (230, 713)
    assert unlimited.of(BODY) == (230, 243)


def test_newer_answers_count_more() -> None:
    """Records may get longer during a run."""
    estimate = TokenEstimate()
    for _ in range(100):
        estimate.learn(BODY, 200, 10)
    for _ in range(200):
        estimate.learn(BODY, 200, 90)
    assert 280 <= estimate.of(BODY)[0] <= 290


def test_a_call_without_bytes_or_tokens_does_not_change_the_ratio() -> None:
    """Calls for images may report no tokens."""
    estimate = TokenEstimate()
    estimate.learn(b"", 10, 0)
    estimate.learn(BODY, 0, 0)
    assert estimate.of(BODY) == (100, 107)
