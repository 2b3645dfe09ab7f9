"""Numbers, times and outcomes in words, as the page and the tables of notebooks show them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

UNKNOWN = "\N{EN DASH}"
# The outcomes in the order of the page, as what rows are.
OUTCOMES = {
    "error": "errors",
    "invalid": "invalid answers",
    "truncated": "truncated answers",
    "refused": "refusals",
    "missing": "without an answer",
    "unfound": "answers not found",
    "rejected": "rejected",
    "waiting": "waiting",
}


def number(value: float | None) -> str:
    """Return a number with commas; a dash if it is not known."""
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def compact(value: float) -> str:
    """Return a number in at most four characters, for an axis: 950, 1.2k, 34M."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:g}"


def exact_dollars(amount: float) -> str:
    """Return an amount with all digits that the report has, so that amounts are aligned."""
    return f"{'-' if amount < 0 else ''}${abs(amount):,.4f}"


def share(part: int, whole: int) -> str:
    """Return a part of a whole in percent; never 100 % or 0 % unless it is exact."""
    if not whole:
        return UNKNOWN
    percent = 100 * part / whole
    if 0 < percent < 0.1 or 99.9 < percent < 100:
        return "< 0.1 %" if percent < 1 else "> 99.9 %"
    return f"{percent:.1f} %".replace(".0 %", " %")


def duration(seconds: float) -> str:
    """Return a time in its two largest units: 3 h 20 min."""
    whole = round(seconds)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{seconds:.3g} s"


def moment(text: str | None) -> str:
    """Return a time of the report for a person: 2026-11-26 14:05 UTC."""
    return UNKNOWN if text is None else f"{text[:10]} {text[11:16]} UTC"


def seconds_between(begins: str | None, ends: str | None) -> float | None:
    """Return the seconds between two times of the report."""
    if begins is None or ends is None:
        return None
    return (dt.datetime.fromisoformat(ends) - dt.datetime.fromisoformat(begins)).total_seconds()


def status_words(status: str) -> str:
    """Return the status of a batch job in small words: partially completed."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in status).strip()


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: 1 shard, 2 shards."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def rough_dollars(amount: float) -> str:
    """Return an amount with cents, or with two digits if it is below ten cents."""
    if amount >= 0.1 or not amount:
        return f"${amount:,.2f}"
    return f"${Decimal(f'{amount:.2g}'):f}"  # never 3.1e-05


def size_range(bin_of: Mapping[str, Any]) -> str:
    """Return the numbers of a bin: 20 to 29."""
    least, most = bin_of["least"], bin_of["most"]
    if most is None:
        return f"{least:,} or more"
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def outcome_sentence(report: Mapping[str, Any]) -> str:
    """Return how the run stands, in one sentence."""
    rows, ok = report["rows"], report["outcomes"]["ok"]
    if not rows:
        is_over = report["state"] == "done"
        answered = "There was no row to ask" if is_over else "No row is prepared yet"
    elif ok == rows:
        answered = "The one row is answered" if rows == 1 else f"All {rows:,} rows are answered"
    else:
        answered = f"{ok:,} of {rows:,} rows are answered"
        waiting = report["outcomes"]["waiting"]
        not_ok = rows - ok - waiting
        parts = [f"{waiting:,} wait"] if waiting else []
        parts += [f"{not_ok:,} {'is' if not_ok == 1 else 'are'} not ok"] if not_ok else []
        answered += f", {' and '.join(parts)}"
    return f"{answered}{_STATES.get(report['state'], '')}."


_STATES = {
    "held": ", and nothing more is submitted until somebody acts",
    "failed": ", and the last command failed",
    "interrupted": ", and the last command was interrupted",
    "unfinished": ", and there is more to do",
}
