"""The notes of provisioned throughput that a run buys: what was bought, when, and whether it bills.

Each fact is an object of its own, created only if absent. So no process can overwrite or delete
what another one has noted, and what was paid stays known.

    provisioned/0001-intent.json      what is about to be bought (write-ahead)
    provisioned/0001-arn-<id>.json    its ARN, as soon as it is known
    provisioned/0001-unlisted.json    since when no listing shows it, while no ARN is known
    provisioned/0001-deleting.json    the service showed it, and is asked to delete it
    provisioned/0001-over.json        it bills no longer, and why

A further purchase gets the next number, once the one before it is over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.errors import AlreadyExistsError
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

INTENT, ARN, UNLISTED, DELETING, OVER = "intent", "arn", "unlisted", "deleting", "over"
# Why a purchase is over. Only one that was deleted was billed.
DELETED, REFUSED, NEVER_LISTED = "deleted", "refused", "never listed"
_HOUR_SECONDS = 3600.0


@dataclass(frozen=True)
class PurchaseNote:
    """One purchase as the run folder notes it.

    number: of the purchase in its run, from 1
    token: makes a repeated request the same purchase
    bought_at: when it was about to be bought
    arns: the ARNs that the service returned; usually one, none while it is unknown
    unlisted_since: when a listing first lacked it, while no ARN was known
    is_deleting: whether the service showed it once, and was asked or about to be asked to delete it
    over_at, why: when it was known to bill no longer, and why; None before that
    """

    number: int
    name: str
    token: str
    model_id: str
    model_units: int
    bought_at: float
    arns: tuple[str, ...] = ()
    unlisted_since: float | None = None
    is_deleting: bool = False
    over_at: float | None = None
    why: str | None = None

    @property
    def may_bill(self) -> bool:
        """Tell whether it may bill: it is not known to be over."""
        return self.over_at is None

    def unit_hours(self, now: float) -> int:
        """Return model units x hours that were billed until `now`. A started hour counts whole."""
        if self.why in (REFUSED, NEVER_LISTED):
            return 0
        end = now if self.over_at is None else self.over_at
        return self.model_units * max(1, math.ceil((end - self.bought_at) / _HOUR_SECONDS))


def read_purchases(storage: Storage) -> tuple[PurchaseNote, ...]:
    """Return every purchase of the run, oldest first."""
    facts: dict[int, dict[str, list[dict[str, Any]]]] = {}
    for stored in storage.list(f"{layout.PROVISIONED}/"):
        number, _, rest = stored.key.removeprefix(f"{layout.PROVISIONED}/").partition("-")
        if number.isdigit() and stored.key.endswith(".json"):
            fact = rest.removesuffix(".json").partition("-")[0]
            values = json.loads(storage.read(stored.key))
            facts.setdefault(int(number), {}).setdefault(fact, []).append(values)
    return tuple(_purchase(n, facts[n]) for n in sorted(facts) if INTENT in facts[n])


def _purchase(number: int, facts: Mapping[str, list[dict[str, Any]]]) -> PurchaseNote:
    (over,), (unlisted,) = facts.get(OVER) or [{}], facts.get(UNLISTED) or [{}]
    return PurchaseNote(
        number,
        **facts[INTENT][0],
        arns=tuple(fact["arn"] for fact in facts.get(ARN, ())),
        unlisted_since=unlisted.get("at"),
        is_deleting=DELETING in facts,
        over_at=over.get("at"),
        why=over.get("why"),
    )


def open_purchase(storage: Storage) -> PurchaseNote | None:
    """Return the purchase that may bill, or None. There is at most one: the newest."""
    may_bill = [note for note in read_purchases(storage) if note.may_bill]
    return may_bill[-1] if may_bill else None


def note_intent(storage: Storage, note: PurchaseNote) -> bool:
    """Note what is about to be bought; return False if its number is noted already."""
    values = {
        "name": note.name,
        "token": note.token,
        "model_id": note.model_id,
        "model_units": note.model_units,
        "bought_at": note.bought_at,
    }
    return _create(storage, layout.purchase_key(note.number, INTENT), values)


def note_arn(storage: Storage, number: int, arn: str, now: float) -> None:
    """Note the ARN of a purchase."""
    key = layout.purchase_key(number, f"{ARN}-{arn.rsplit('/', 1)[-1]}")
    _create(storage, key, {"arn": arn, "at": now})


def note_unlisted(storage: Storage, number: int, now: float) -> None:
    """Note that a listing does not show a purchase whose ARN is unknown. The first time counts."""
    _create(storage, layout.purchase_key(number, UNLISTED), {"at": now})


def note_deleting(storage: Storage, number: int, now: float) -> None:
    """Note that the service showed a purchase, and is about to be asked to delete it."""
    _create(storage, layout.purchase_key(number, DELETING), {"at": now})


def note_over(storage: Storage, number: int, why: str, now: float) -> None:
    """Note that a purchase bills no longer."""
    _create(storage, layout.purchase_key(number, OVER), {"at": now, "why": why})


def unit_hours(notes: Iterable[PurchaseNote], now: float) -> int:
    """Return the model units x hours of all purchases until `now`."""
    return sum(note.unit_hours(now) for note in notes)


def _create(storage: Storage, key: str, values: Mapping[str, Any]) -> bool:
    """Write a fact; return False if another process, or an earlier try, noted it before."""
    try:
        storage.create(key, json.dumps(values).encode())
    except AlreadyExistsError:
        return False
    return True
