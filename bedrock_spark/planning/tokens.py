"""Estimate the tokens of a run, each with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bedrock_spark.config import RequestConfig
from bedrock_spark.costs.tokens import BYTES_PER_TOKEN, max_answer_tokens
from bedrock_spark.planning.values import Count
from bedrock_spark.run_folder.canary_results import Canary

# The standard deviations on either side that hold 95 % of a normal distribution.
_DEVIATIONS = 1.96
# What is assumed of a mean without the values behind it.
_SPREAD = 0.1
# The bytes of a token: more than four in English text, two to four in JSON and other languages.
_MOST_BYTES_PER_TOKEN, LEAST_BYTES_PER_TOKEN = 6.0, 2.0


@dataclass(frozen=True)
class Counted:
    """The lines of a sample: the bytes and the input tokens of each."""

    line_bytes: Sequence[int]
    tokens: Sequence[int]


def input_tokens(
    records: int, line_bytes: int, counted: Counted | None, canary: Canary | None
) -> Count:
    """Return the input tokens of all records.

    records, line_bytes: of the run
    counted: of a random sample, by CountTokens; canary: its last try, None if there is none
    """
    if not records:
        return Count(low=0, likely=0, high=0, how="no record is asked")
    if counted is not None and sum(counted.line_bytes) > 0:
        return _by_ratio(records, line_bytes, counted)
    if canary is not None and canary.input_tokens and canary.line_bytes:
        likely = canary.input_tokens / canary.line_bytes * line_bytes
        how = f"as the {canary.answered} records of the canary had"
        # The canary keeps no count of single records: their spread is not known.
        low, high = round(likely * (1 - _SPREAD)), round(likely * (1 + _SPREAD))
        return Count(low=low, likely=round(likely), high=high, how=how)
    return Count(
        low=math.ceil(line_bytes / _MOST_BYTES_PER_TOKEN),
        likely=math.ceil(line_bytes / BYTES_PER_TOKEN),
        high=math.ceil(line_bytes / LEAST_BYTES_PER_TOKEN),
        how=f"{BYTES_PER_TOKEN:g} bytes a token, by rule of thumb",
    )


def _by_ratio(records: int, line_bytes: int, counted: Counted) -> Count:
    """Return the ratio estimate of the total, with its interval of 95 %.

    Cochran, Sampling Techniques, 3rd edition, chapter 6: the variance of the total is
    N^2 (1 - n/N) s^2 / n, and s^2 that of the residuals, tokens - ratio * bytes.
    """
    pairs = list(zip(counted.line_bytes, counted.tokens, strict=True))
    ratio = sum(counted.tokens) / sum(counted.line_bytes)
    likely = ratio * line_bytes
    n = len(pairs)
    squares = sum((tokens - ratio * size) ** 2 for size, tokens in pairs)
    variance = squares / (n - 1) if n > 1 else (likely / max(1, records)) ** 2
    rest = max(0.0, 1 - n / max(n, records))
    spread = _DEVIATIONS * records * math.sqrt(variance * rest / n)
    return Count(
        low=max(0, math.floor(likely - spread)),
        likely=round(likely),
        high=math.ceil(likely + spread),
        how=f"CountTokens of {n:,} records",
    )


def output_tokens(
    records: int, request: RequestConfig, canary: Canary | None, given: float | None
) -> Count:
    """Return the output tokens of all answers.

    given: the mean of an answer, if the user knows it

    The canary keeps only the sum of its answers' tokens. Of all distributions between 0 and the
    limit with a mean m, the one of only these two values has the largest variance, m (limit - m);
    the interval of 95 % is that of this variance, so the real one is narrower.
    """
    longest = max_answer_tokens(request)
    if not records:
        return Count(low=0, likely=0, high=0, how="no record is asked")
    if given is not None:
        tokens = round(given * records)
        return Count(low=tokens, likely=tokens, high=tokens, how=f"{given:g} an answer, as given")
    most = None if longest is None else records * longest
    if canary is None or not canary.answered or not canary.output_tokens:
        how = "no answer was measured"
        how += "" if longest is None else f"; at most {longest:,} an answer"
        return Count(low=records, likely=None, high=most, how=how)
    mean = canary.output_tokens / canary.answered
    how = f"{mean:,.0f} an answer, as the {canary.answered} of the canary had"
    if longest is None:
        return Count(low=records, likely=round(mean * records), high=None, how=how)
    spread = _DEVIATIONS * math.sqrt(max(0.0, mean * (longest - mean)) / canary.answered)
    return Count(
        low=max(records, round((mean - spread) * records)),
        likely=round(mean * records),
        high=round(min(longest, mean + spread) * records),
        how=how,
    )


def measured_output(records: int, lengths: Sequence[int], request: RequestConfig) -> Count:
    """Return the output tokens of all answers, from the lengths of single ones.

    The interval of 95 % is that of a mean: Student's t by its expansion in 1/degrees of freedom
    (Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5, two terms), within one token
    and the request's limit. It holds if the answers are a random sample.
    """
    n, longest = len(lengths), max_answer_tokens(request)
    if n < 2:
        unknown = output_tokens(records, request, None, None)
        likely = lengths[0] * records if lengths else None
        return unknown.model_copy(update={"likely": likely})
    mean = sum(lengths) / n
    free = n - 1
    deviation = math.sqrt(sum((x - mean) ** 2 for x in lengths) / free)
    z = _DEVIATIONS
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    spread = t * deviation / math.sqrt(n)
    high = mean + spread if longest is None else min(longest, mean + spread)
    return Count(
        low=round(max(1.0, mean - spread) * records),
        likely=round(mean * records),
        high=round(high * records),
        how=f"{mean:,.0f} an answer, as the {n:,} answers of the preview had",
    )
