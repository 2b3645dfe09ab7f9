"""Lifecycle rules of a bucket that delete what a run still needs, or put it out of reach.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bedrock_spark.doctor.findings import Finding, error, ok, warning

# Answers stay in the run folder until they are collected; people collect late.
_EARLY_DAYS = 30
# An object must be restored before it can be read: Amazon S3 user guide, "Storage classes".
_OUT_OF_REACH = ("GLACIER", "DEEP_ARCHIVE")


def lifecycle_findings(
    bucket: str, prefix: str, rules: Sequence[Mapping[str, Any]], needed_days: int, now: float
) -> Iterator[Finding]:
    """Yield the rules that end objects of a folder early.

    prefix: of the run folder's keys; needed_days: as long as a job and its collection may take
    now: in seconds since the epoch
    """
    found = [
        finding
        for rule in rules
        if rule.get("Status") == "Enabled" and _is_about(rule, prefix)
        for finding in _early(bucket, rule, needed_days, now)
    ]
    yield from found
    if not found:
        count = (
            f"{len(rules)} lifecycle rules, none of which" if rules else "no lifecycle rule that"
        )
        yield ok(f"bucket {bucket}: has {count} deletes what a run needs")


def deletes_old_versions(rules: Sequence[Mapping[str, Any]], prefix: str) -> bool:
    """Tell whether a rule that is on deletes the old versions of all objects of a folder."""
    return any(
        rule.get("Status") == "Enabled"
        and "NoncurrentVersionExpiration" in rule
        and _is_by_prefix(rule)
        and prefix.startswith(_prefix_of(rule) or "")
        for rule in rules
    )


def _is_by_prefix(rule: Mapping[str, Any]) -> bool:
    """Tell whether nothing but the prefix says which objects a rule is about."""
    own = rule.get("Filter", {})
    return set(own) <= {"Prefix", "And"} and set(own.get("And", {})) <= {"Prefix"}


def _is_about(rule: Mapping[str, Any], prefix: str) -> bool:
    """Tell whether a rule may be about objects of the folder."""
    start = _prefix_of(rule)
    return start is not None and (prefix.startswith(start) or start.startswith(prefix))


def _prefix_of(rule: Mapping[str, Any]) -> str | None:
    """Return the prefix of a rule; None for one about objects with tags: those of a run have none.

    The prefix may stand in the rule, as in its older form, or in its filter.
    """
    own = rule.get("Filter", {})
    both = own.get("And", {})
    if "Tag" in own or both.get("Tags"):
        return None
    return str(rule.get("Prefix") or own.get("Prefix") or both.get("Prefix") or "")


def _early(bucket: str, rule: Mapping[str, Any], needed_days: int, now: float) -> Iterator[Finding]:
    name = f"bucket {bucket}: its lifecycle rule {rule.get('ID', '(no name)')!r}"
    fix = (
        "run_uri: s3://BUCKET/ANOTHER/PREFIX    # one that the rule does not cover; or change the "
        f"rule: aws s3api get-bucket-lifecycle-configuration --bucket {bucket}"
    )
    for days, does in _ends(rule, now):
        if days <= needed_days:
            yield error(
                f"{name} {does} after {days} days, and a run may need them for more than "
                f"{needed_days} days (batch.timeout_hours)",
                fix,
            )
        elif days <= _EARLY_DAYS:
            yield warning(f"{name} {does} after {days} days: collect before", fix)


def _ends(rule: Mapping[str, Any], now: float) -> Iterator[tuple[int, str]]:
    """Yield after how many days a rule does what to an object that is written now."""
    expiration = rule.get("Expiration", {})
    if _days(expiration, now) is not None:
        yield _days(expiration, now) or 0, "deletes objects of the run folder"
    for transition in rule.get("Transitions", ()):
        days = _days(transition, now)
        if days is not None and transition.get("StorageClass") in _OUT_OF_REACH:
            yield days, f"moves objects of the run folder to {transition['StorageClass']}"


def _days(action: Mapping[str, Any], now: float) -> int | None:
    if "Days" in action:
        return int(action["Days"])
    date = action.get("Date")
    if not isinstance(date, dt.datetime):
        return None
    return max(0, int((date.timestamp() - now) // 86_400))
