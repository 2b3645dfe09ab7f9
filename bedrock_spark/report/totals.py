"""What collect found, added up over all units; or as the last report has it.

A command that does not collect, or fails before it does, has no reconciliations at hand. To read
them is a call for each shard. The last report has their sums, because every collect is followed by
one, so they are carried over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bedrock_spark.outputs.labels import LabelCounts
from bedrock_spark.outputs.outcomes import MISSING, REJECTED
from bedrock_spark.outputs.reasons import Reason, ReasonCounts
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.outputs.record_outcome import BATCH, FALLBACK
from bedrock_spark.outputs.size_bins import as_bins
from bedrock_spark.report.findings import OF_THE_MOMENT, shard_mismatches
from bedrock_spark.report.timeline import Asked, asked_before, asked_by_minute
from bedrock_spark.report.values import OUTCOMES, all_outcomes
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.model_use import (
    ModelUse,
    UseByModel,
    total_tokens,
    uses_of_json,
)
from bedrock_spark.run_folder.report_file import WAITING

_NO_SERVED, _NO_TOKENS = {BATCH: 0, FALLBACK: 0}, {"input": 0, "output": 0}


@dataclass(frozen=True)
class Totals:
    """Sums over all units. The names are those of `Report`.

    asked: when the fallback answered
    kept_tokens: of answers that a store had; empty if they are from an earlier report
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    served_by: dict[str, int] = field(default_factory=lambda: dict(_NO_SERVED))
    unanswered: int = 0
    unfound: int = 0
    reasons: list[Reason] = field(default_factory=list)
    other_reasons: int = 0
    stop_reasons: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=lambda: dict(_NO_TOKENS))
    fallback_models: tuple[ModelUse, ...] = ()
    manifest_totals: dict[str, int] = field(default_factory=lambda: {**_NO_TOKENS, "images": 0})
    findings: list[dict[str, Any]] = field(default_factory=list)
    published: str | None = None
    partial: str | None = None
    lengths: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    latency: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    kept_tokens: dict[str, int] = field(default_factory=dict)

    @property
    def fallback_tokens(self) -> dict[str, int]:
        """Return the tokens of all answers of the fallback."""
        return total_tokens(self.fallback_models)


def totals_of(
    manifest: RunManifest, units: Iterable[ReconciledShard], unsettled: Collection[str] = ()
) -> Totals:
    """Add up the reconciliations of all units, in one pass.

    unsettled: shards that have an active batch job or need one; what is missing of them waits
    """
    sums = {name: dict[str, int]() for name in _SUMMED}
    numbers: Counter[str] = Counter()
    reasons = ReasonCounts()
    labels, by_model = LabelCounts(), UseByModel()
    findings: list[dict[str, Any]] = []
    counted: list[tuple[str, int]] = []
    for unit in units:
        for name, sum_of in sums.items():
            for key, count in getattr(unit, name).items():
                sum_of[key] = sum_of.get(key, 0) + count
        numbers["unanswered"] += unit.unanswered
        numbers["unfound"] += unit.unfound
        if unit.unit in unsettled:
            numbers[WAITING] += unit.outcomes.get(MISSING, 0)
        reasons.merge(unit.reasons, unit.other_reasons)
        for finding in unit.findings:
            shown = finding.as_json()
            if finding.shard_id == unit.unit:
                shown["shard_id"] = unit.unit  # the same string: a run may have very many findings
            findings.append(shown)
        labels.add(unit.labels)
        by_model.add_all(unit.fallback_models)
        counted.append((unit.unit, sum(unit.outcomes.values())))
    waiting = numbers[WAITING]
    outcomes = sums["outcomes"]
    outcomes[MISSING] = outcomes.get(MISSING, 0) - waiting
    outcomes[WAITING] = waiting
    common, others = reasons.most_common()
    return Totals(
        outcomes=all_outcomes(outcomes),
        served_by=_NO_SERVED | sums["served_by"],
        unanswered=numbers["unanswered"] - waiting,
        unfound=numbers["unfound"],
        reasons=common,
        other_reasons=others,
        stop_reasons=dict(Counter(sums["stop_reasons"]).most_common()),
        tokens=_NO_TOKENS | sums["tokens"],
        fallback_models=by_model.uses(),
        manifest_totals=_NO_TOKENS | {"images": 0} | sums["manifest_tokens"],
        findings=[*shard_mismatches(manifest, counted), *findings],
        lengths=as_bins(sums["lengths"]),
        labels=labels.as_json(),
        latency=as_bins(sums["latency"]),
        asked=asked_by_minute(sums["fallback_minutes"]),
        kept_tokens=sums["kept_tokens"],
    )


# The counts of a unit that are added up by name.
_SUMMED = (
    *("outcomes", "served_by", "stop_reasons", "tokens", "manifest_tokens"),
    *("lengths", "latency", "fallback_minutes", "kept_tokens"),
)


def last_totals(manifest: RunManifest | None, last: Mapping[str, Any] | None) -> Totals:
    """Return the sums of the last report; if there is none, all rows wait or are rejected.

    manifest: None if prepare is not committed: then no row is known
    last: the content of the last report
    """
    if manifest is None:
        return Totals(all_outcomes({}))
    if last is not None and last.get("rows"):
        try:
            return _carried(last)
        except (KeyError, TypeError, AttributeError, ValueError):
            pass  # a damaged report: nothing depends on it
    rejected = manifest.rejected
    return Totals(all_outcomes({REJECTED: rejected, WAITING: manifest.rows - rejected}))


def _reason(*, examples: list[str], **values: Any) -> Reason:
    example = examples[0] if examples else None
    return Reason(**values, example=example, more_examples=tuple(examples[1:]))


def _carried(last: Mapping[str, Any]) -> Totals:
    return Totals(
        outcomes={name: int(last["outcomes"][name]) for name in OUTCOMES},
        served_by=dict(last["served_by"]),
        unanswered=int(last["unanswered"]),
        unfound=int(last["unfound"]),
        reasons=[_reason(**reason) for reason in last["reasons"]],
        other_reasons=int(last["other_reasons"]),
        stop_reasons=dict(last["stop_reasons"]),
        tokens=dict(last["tokens"]),
        fallback_models=uses_of_json(last["fallback_models"]),
        manifest_totals=dict(last["manifest_totals"]),
        findings=[f for f in last["findings"] if f["kind"] not in OF_THE_MOMENT],
        published=last.get("published"),
        partial=last.get("partial"),
        lengths=list(last["lengths"]),
        labels=list(last["labels"]),
        latency=list(last["fallback_latency"]),
        asked=asked_before(last["timeline"]),
    )
