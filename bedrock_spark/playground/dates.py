"""Days in words."""

from __future__ import annotations

import datetime as dt


def date_of(seconds: float) -> str:
    """Return the day of a time, in UTC: `2026-11-26`."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date().isoformat()


def distance_to(seconds: float, now: float) -> str:
    """Return how far the day of a time is away: `in 3 days`, `1 day ago`."""
    day = dt.date.fromisoformat(date_of(seconds)) - dt.date.fromisoformat(date_of(now))
    number = f"{abs(day.days)} day{'s' * (abs(day.days) != 1)}"
    return f"in {number}" if day.days >= 0 else f"{number} ago"
