"""What a call will use: a rule of thumb at first, then what calls did use."""

from __future__ import annotations

from bedrock_spark.costs.token_estimate import TokenEstimate

BODY = b"x" * 400


def test_before_the_first_answer_it_is_bytes_and_the_longest_answer() -> None:
    """Four bytes a token, and a sixteenth to spare in what may be used."""
    assert TokenEstimate(50).of(BODY) == (150, 157)
    assert TokenEstimate().of(BODY) == (100, 107)


def test_answers_teach_it() -> None:
    """The longest answer stays what may be used; without one it is what answers take."""
    told, untold = TokenEstimate(500), TokenEstimate()
    for estimate in (told, untold):
        for _ in range(10):
            estimate.learn(BODY, 200, 30)
    assert told.of(BODY) == (230, 713)
    assert untold.of(BODY) == (230, 243)


def test_what_is_newer_counts_for_more() -> None:
    """Records may get longer in the course of a run."""
    estimate = TokenEstimate()
    for _ in range(100):
        estimate.learn(BODY, 200, 10)
    for _ in range(200):
        estimate.learn(BODY, 200, 90)
    assert 280 <= estimate.of(BODY)[0] <= 290


def test_a_body_without_bytes_or_tokens_teaches_nothing_of_bytes() -> None:
    """Embeddings tell input only; images may tell none."""
    estimate = TokenEstimate()
    estimate.learn(b"", 10, 0)
    estimate.learn(BODY, 0, 0)
    assert estimate.of(BODY) == (100, 107)
