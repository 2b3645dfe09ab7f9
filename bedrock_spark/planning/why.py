"""Why rows are asked: what is not as it was in the last run, or is in no store of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bedrock_spark.config import Config
from bedrock_spark.planning.earlier import MODEL_CHANGED, SOURCE_CHANGED, Change, EarlierRun
from bedrock_spark.planning.values import Why
from bedrock_spark.run_folder.prepared import KnownKeys

# The reasons of answers/lookup.py, which imports pyarrow: that is heavy for a command that plans.
NEW, OTHER_REQUEST, TOO_OLD, NOT_ACCEPTED = "new", "other_request", "too_old", "not_accepted"

NOTHING_KEPT, NEW_ROWS, ROWS_CHANGED = "no answers are kept", "new rows", "rows changed"
NEW_OR_CHANGED, NOT_KEPT = "new or changed rows", "not kept by the last run"
KEPT_OTHERWISE = "kept for another model, schema or guardrail"
KEPT_TOO_OLD, KEPT_NOT_ACCEPTED = "kept answer too old", "kept answer not accepted"


def why_all(
    rows: int, config: Config, earlier: EarlierRun | None, changes: Sequence[Change]
) -> list[Why]:
    """Return why a run that looks no answers up asks all its rows; [] if it is the first.

    rows: that are asked; earlier: the last run of the same source; changes: since that run
    """
    if earlier is None or not rows:
        return []
    reason = _of_config(changes)
    if reason is not None:
        return [Why(reason=reason, rows=rows)]
    answers = config.answers
    how = "answers.uri is not set" if answers is None else f"answers.mode is {answers.mode}"
    return [Why(reason=NOTHING_KEPT, rows=rows, detail=f"{how}, so a new run asks everything")]


def why_unknown(
    why_asked: Mapping[str, int],
    known: KnownKeys | None,
    config: Config,
    earlier: EarlierRun | None,
    changes: Sequence[Change],
) -> list[Why]:
    """Return why the store of answers does not answer rows, the most frequent reason first.

    why_asked: rows by why no kept answer was used: the reasons of answers/lookup.py
    known: those of all these rows whose key the earlier run had; None if that is not known. Rows
        for which an answer is kept, though it cannot be used, are taken to be of them
    """
    has_other_model = any(change.reason == MODEL_CHANGED for change in changes)
    counts = {
        MODEL_CHANGED if has_other_model else KEPT_OTHERWISE: why_asked.get(OTHER_REQUEST, 0),
        KEPT_TOO_OLD: why_asked.get(TOO_OLD, 0),
        KEPT_NOT_ACCEPTED: why_asked.get(NOT_ACCEPTED, 0),
    }
    unseen, others = why_asked.get(NEW, 0), sum(counts.values())
    if earlier is None:
        new = {NEW_ROWS: unseen}
    elif known is None:
        new = {_of_config(changes) or NEW_OR_CHANGED: unseen}
    else:
        new = _of_known(unseen, others, known, _of_config(changes), _has_kept(earlier, config))
    for reason, rows in new.items():
        counts[reason] = counts.get(reason, 0) + rows
    found = [Why(reason=reason, rows=rows) for reason, rows in counts.items() if rows]
    return sorted(found, key=lambda why: -why.rows)


def _of_known(
    unseen: int, others: int, known: KnownKeys, of_config: str | None, was_kept: bool
) -> dict[str, int]:
    """Return the reasons of rows for which nothing is kept.

    unseen: how many; others: the rows for which something is kept that cannot be used
    was_kept: whether the earlier run kept its answers in this store
    """
    answered = known.answered if was_kept else 0
    unanswered = known.answered + known.unanswered - answered
    changed = max(0, answered - others)
    unanswered = max(0, unanswered - max(0, others - answered))
    changed = min(unseen, changed)
    unanswered = min(unseen - changed, unanswered)
    rows = {NEW_ROWS: unseen - changed - unanswered}
    if of_config is not None:
        return rows | {of_config: changed + unanswered}
    return rows | {ROWS_CHANGED: changed, NOT_KEPT: unanswered}


def _has_kept(earlier: EarlierRun, config: Config) -> bool:
    """Tell whether an earlier run has kept its answers in the store of this config."""
    kept = earlier.description["config"].get("answers") or {}
    is_written = kept.get("mode") in ("read_write", "refresh")
    return is_written and config.answers is not None and kept.get("uri") == config.answers.uri


def _of_config(changes: Sequence[Change]) -> str | None:
    """Return what the config asks in another way, in words; None if nothing."""
    asked = [change.reason for change in changes if change.reason != SOURCE_CHANGED]
    return " and ".join(dict.fromkeys(asked)) or None
