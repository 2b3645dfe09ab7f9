"""The rows of a run that are not ok, by reason: how many, which, and whether asking again helps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bedrock_spark.config import Config
from bedrock_spark.outputs.outcomes import (
    ERROR,
    INVALID,
    MISSING,
    OK,
    REFUSED,
    REJECTED,
    TRUNCATED,
    UNFOUND,
)
from bedrock_spark.outputs.reasons import Reason, ReasonCounts
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.outputs.reconciliations import read_reconciliations
from bedrock_spark.outputs.record_errors import RecordError
from bedrock_spark.run_folder.report_file import WAITING
from bedrock_spark.run_folder.run import Run

if TYPE_CHECKING:
    from bedrock_spark.browse.unit_counts import UnitCounts

_WITHOUT_REASON = (MISSING, UNFOUND)
_RUN_AGAIN = "then the same bedrock-spark run"


@dataclass(frozen=True)
class Group:
    """Rows that are not ok for one reason.

    outcome, code, message: as in `Reason`; the message has no value of a row
    examples: record ids, of shards that are spread over the run
    helps: whether asking again may help; advice: what to do
    """

    outcome: str
    code: int | None
    message: str
    rows: int
    examples: tuple[str, ...]
    helps: bool
    advice: str


@dataclass(frozen=True)
class Errors:
    """The rows of a run that are not ok.

    rows: of all collected shards; not_ok: of them, those that are not ok, by outcome
    groups: the largest first; others: rows with any other reason
    """

    rows: int
    not_ok: dict[str, int]
    groups: tuple[Group, ...]
    others: int


@dataclass
class _Sum:
    rows: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    reasons: ReasonCounts = field(default_factory=ReasonCounts)

    def add(self, shard: ReconciledShard) -> None:
        self.rows += shard.rows
        for outcome, rows in shard.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + rows
        self.reasons.merge(shard.reasons, shard.other_reasons)


def errors_of(run: Run, most: int) -> Errors:
    """Return the rows of a run that are not ok, in at most `most` groups.

    Reads the reconciliations, which are one object for all shards, and no result.
    """
    return group_errors(read_reconciliations(run.storage), run.config, most)


def group_errors(shards: Iterable[ReconciledShard], config: Config, most: int) -> Errors:
    """Group the rows that are not ok. config: of the run; it decides what advice fits."""
    total = _Sum()
    for shard in shards:
        total.add(shard)
    reasons, others = total.reasons.most_common(most)
    return _errors(total.rows, total.outcomes, reasons, others, config)


def errors_in_report(report: Mapping[str, Any], config: Config) -> Errors:
    """Return the rows that are not ok as a report has them: in its commonest reasons.

    report: as report.json holds it
    """
    reasons = []
    for values in report["reasons"]:
        first, *more = values["examples"] or [None]
        own = values["outcome"], values["code"], values["message"], values["count"]
        reasons.append(Reason(*own, first, tuple(more)))
    outcomes = {name: rows for name, rows in report["outcomes"].items() if name != WAITING}
    return _errors(report["rows"], outcomes, reasons, report["other_reasons"], config)


def all_errors(counts: UnitCounts, config: Config) -> Errors:
    """Return the rows that are not ok in all groups that the shards name.

    A shard names its ten commonest reasons, so a group may have some of the other rows, too.
    """
    reasons = [
        Reason(group.outcome, group.code, group.message, rows) for group, rows in counts.groups
    ]
    rows = int(counts.rows.sum())
    return _errors(rows, counts.totals, reasons, counts.other_rows, config)


def _errors(
    rows: int,
    outcomes: Mapping[str, int],
    reasons: Iterable[Reason],
    others: int,
    config: Config,
) -> Errors:
    groups = [_group(reason, config) for reason in reasons]
    named = {group.outcome for group in groups}
    # Nothing came back for these rows, so they may have no reason of their own.
    for outcome in _WITHOUT_REASON:
        count = outcomes.get(outcome, 0)
        if count and outcome not in named:
            groups.append(_group(Reason(outcome, None, _MESSAGES[outcome], count), config))
    not_ok = {k: v for k, v in outcomes.items() if k != OK and v}
    return Errors(rows, not_ok, tuple(groups), others)


_MESSAGES = {
    MISSING: "asked, and neither an answer nor an error came",
    UNFOUND: "a job claims the answer, and its output does not have it",
}


def _group(reason: Reason, config: Config) -> Group:
    key = reason.outcome, reason.code, reason.message
    helps, advice = _advice(reason, config)
    return Group(*key, reason.count, reason.examples, helps, advice)


def _advice(reason: Reason, config: Config) -> tuple[bool, str]:
    """Return whether asking again may help, and what to do."""
    if reason.outcome == ERROR:
        return _advice_on_error(reason, config)
    if reason.outcome == MISSING:
        return True, _fallback(config)
    if reason.outcome == TRUNCATED:
        if config.request.on_truncated == "retry":
            return False, "these have reached request.max_tokens_ceiling, or a limit of the model"
        return True, f"--set request.on_truncated=retry, with max_tokens_ceiling, {_RUN_AGAIN}"
    if reason.outcome == REFUSED:
        if config.request.on_refused == "retry":
            return False, "they were asked again; look at the rows and the guardrail"
        return True, f"sometimes: --set request.on_refused=retry, {_RUN_AGAIN}"
    if reason.outcome == INVALID:
        if config.results.parse is not None and not config.results.parse.retries:
            return True, f"sometimes: --set results.parse.retries=1, {_RUN_AGAIN}"
        return False, "make the prompt or request.schema say the form of the answer"
    if reason.outcome == UNFOUND:
        return True, "collect again later; --set fallback.ask_unfound=true pays for them again"
    if reason.outcome == REJECTED:
        return False, "correct the rows, and run them under another run_uri"
    return False, "look at the rows: bedrock-spark results --outcome …"


def _advice_on_error(reason: Reason, config: Config) -> tuple[bool, str]:
    error = RecordError(reason.code, reason.message)
    if error.is_retryable:
        return True, _fallback(config)
    return False, "the model will refuse the same request again: change the request or the rows"


def _fallback(config: Config) -> str:
    if config.fallback is None:
        return f"name a fallback (fallback.model_id), {_RUN_AGAIN}"
    return "the same bedrock-spark run asks the fallback, within its rounds and its budget"
