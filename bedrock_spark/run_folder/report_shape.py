"""The keys of report.json and their types: for its JSON Schema, and to check one that is read.

docs/report.md explains them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Failure:
    """The error that ended a command: the name of its class, and its message, if that is ours.

    The message of any other error may hold values of rows, so it is left out.
    """

    kind: str
    message: str | None


@dataclass(frozen=True)
class ReasonJson:
    """Why rows ended as they did, with record ids."""

    outcome: str
    code: int | None
    message: str
    count: int
    examples: list[str]


@dataclass(frozen=True)
class SizeBin:
    """How many have a size from `least` to `most`; without an end if that is null."""

    least: int
    most: int | None
    count: int


@dataclass(frozen=True)
class LabelJson:
    """A value of a column of the answers, and the rows that have it."""

    value: str
    rows: int


@dataclass(frozen=True)
class LabelsJson:
    """The commonest values of a column; others: the rows with another one."""

    column: str
    values: list[LabelJson]
    others: int


@dataclass(frozen=True)
class DerivedFromJson:
    """The run whose rows were the source. fingerprint: of its results; outcomes: null for all."""

    run_uri: str
    run_id: str
    fingerprint: str
    outcomes: list[str] | None
    where: str | None


@dataclass(frozen=True)
class ModelUseJson:
    """What the answers of one fallback model at one tier used and cost; null: not known."""

    model_id: str | None
    tier: str
    answers: int
    tokens: dict[str, int]
    cost_usd: float | None


@dataclass(frozen=True)
class ReportJson:
    """A run in numbers, as docs/report.md explains them.

    Times are ISO 8601 in UTC, numbers of `cost` dollars, numbers of `seconds` seconds.
    """

    version: int
    run_id: str
    run_uri: str
    state: str
    stage: str
    error: Failure | None
    started_at: str | None
    ended_at: str | None
    model_id: str
    fallback_model_id: str | None
    region: str | None
    models: list[dict[str, Any]]
    rows: int
    records: int
    rows_sharing_a_record: int
    outcomes: dict[str, int]
    served_by: dict[str, int]
    unanswered: int
    unfound: int
    reasons: list[ReasonJson]
    other_reasons: int
    stop_reasons: dict[str, int]
    shards: int
    canary: dict[str, int] | None
    jobs: dict[str, int]
    attempts: int
    tokens: dict[str, int]
    paid_tokens: dict[str, int] | None
    fallback_tokens: dict[str, int]
    fallback_models: list[ModelUseJson]
    manifest_totals: dict[str, int]
    cost: dict[str, float] | None
    unpriced: list[str]
    prices: dict[str, Any]
    seconds: dict[str, float]
    published: str | None
    partial: str | None
    findings: list[dict[str, Any]]
    timeline: dict[str, Any] | None
    fallback_latency: list[SizeBin]
    lengths: list[SizeBin]
    labels: list[LabelsJson]
    saved: dict[str, float] | None
    config: dict[str, Any]
    versions: dict[str, str]
    derived_from: DerivedFromJson | None
