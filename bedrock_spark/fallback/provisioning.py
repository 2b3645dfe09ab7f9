"""Provisioned throughput that a run buys for its fallback, and deletes when the fallback ends.

It bills by the hour until it is deleted, so it must never be forgotten. The run folder notes it
before it is bought (write-ahead), and its ARN the moment it is known. Its name and the request's
token are functions of the run id, and a tag has the run id. So a repeated request is the same
purchase, and any process that continues or stops the run finds it.

A purchase counts as over only after proof: the service does not find its ARN. Without an ARN, no
listing may have shown its name for four hours: one listing that lacks it proves nothing. Until
then every command looks again, and says that it may bill.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bedrock_spark.aws.errors import job_errors
from bedrock_spark.aws.protocols import BedrockClient
from bedrock_spark.aws.provisioned import FAILED, POLL_SECONDS, WAIT_SECONDS
from bedrock_spark.aws.retry import retry_reading
from bedrock_spark.clock import Clock
from bedrock_spark.config import CreateConfig
from bedrock_spark.errors import (
    JobError,
    JobNameInUseError,
    JobStateUnknownError,
    ProvisionedModelError,
)
from bedrock_spark.run_folder.purchases import (
    DELETED,
    NEVER_LISTED,
    REFUSED,
    PurchaseNote,
    note_arn,
    note_deleting,
    note_intent,
    note_over,
    note_unlisted,
    open_purchase,
    read_purchases,
)
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

TAG = "bedrock-spark-run"
_NAME_MAX = 63
_CHANGING = ("Creating", "Updating")
# How long one command looks for a purchase without a known ARN.
_LOOK_SECONDS = 60.0
# How long after a purchase "not found" by its ARN may mean "not visible yet".
_VISIBLE_SECONDS = 600.0
# How long listings must lack a purchase without a known ARN before it counts as never made.
UNLISTED_SECONDS = 4 * 3600.0


@dataclass(frozen=True)
class Purchase:
    """The provisioned throughput that was bought: ARN, status and number of model units."""

    arn: str
    status: str
    model_units: int


@dataclass(frozen=True)
class Deletion:
    """What a deletion did.

    deleted: what was deleted; None if there was nothing
    warning: what may still bill, and how it is looked for; None if it is known that nothing bills
    """

    deleted: Purchase | None = None
    warning: str | None = None


def purchase_name(run_id: str, number: int = 1) -> str:
    """Return the name of the throughput that a run buys. It is found by this name.

    Every purchase of a run has another name: a listing may still show one that was deleted.
    """
    suffix = "" if number == 1 else f"-{number}"
    name = f"bs-{re.sub(r'[^0-9a-zA-Z]+', '-', run_id).strip('-')}"
    return f"{name[: _NAME_MAX - len(suffix)].rstrip('-')}{suffix}"


def purchase_token(run_id: str, number: int) -> str:
    """Return the token of a purchase. The service answers a repeated one with the same purchase."""
    return hashlib.sha256(f"{run_id}/{number}".encode()).hexdigest()


def _may_delete(purchase: Purchase, deleted: Purchase | None) -> bool:
    """Tell whether to request the deletion now: not while it changes, and once per ARN."""
    is_requested = deleted is not None and deleted.arn == purchase.arn
    return purchase.status not in _CHANGING and not is_requested


class ProvisionedThroughput:
    """The provisioned throughput of one run: at most one at any time."""

    def __init__(self, client: BedrockClient, run_id: str, storage: Storage, clock: Clock) -> None:
        self._client = client
        self._run_id = run_id
        self._storage = storage
        self._clock = clock

    def buy(self, model_id: str, config: CreateConfig) -> Purchase:
        """Return the run's throughput; buy it if there is none yet, or if it failed.

        Raises ProvisionedModelError if the service refuses, or does not show what was bought.
        """
        note, is_new = open_purchase(self._storage), False
        purchase = self._look(note) if note is not None else None
        if purchase is not None and purchase.status != FAILED:
            return purchase
        if note is not None and (purchase is not None or self._is_over(note)):
            self.delete()
            note = open_purchase(self._storage)
        if note is None:
            note, is_new = self._note(model_id, config)
        self._create(note, is_new)
        purchase = self._wait_until_visible(note.number)
        if purchase is None:
            raise ProvisionedModelError(
                f"fallback.create: {note.name} was bought and cannot be found. "
                f"{self._warning(note)}"
            )
        return purchase

    def delete(self) -> Deletion:
        """Delete the run's throughput, and note it as over once the service does not find it.

        The service refuses to delete it while it is being created or updated: wait until that is
        over. Raises ProvisionedModelError if that takes too long. Without a note in the run folder
        the service is not asked.
        """
        begun_at = self._clock.now()
        deleted: Purchase | None = None
        while (note := open_purchase(self._storage)) is not None:
            purchase = self._look(note)
            if purchase is None and self._is_over(note):
                why = DELETED if note.arns else NEVER_LISTED
                note_over(self._storage, note.number, why, self._clock.now())
                break
            if purchase is None and not self._may_appear(note, begun_at):
                warning = self._warning(note)
                log.warning("%s: %s", self._run_id, warning)
                return Deletion(deleted, warning)
            if purchase is not None and _may_delete(purchase, deleted):
                note_deleting(self._storage, note.number, self._clock.now())
                self._call("DeleteProvisionedModelThroughput", self._delete, purchase.arn)
                log.info("%s: deleted %s", self._run_id, purchase.arn)
                deleted = purchase
                continue
            if self._clock.now() >= begun_at + WAIT_SECONDS and purchase is not None:
                raise ProvisionedModelError(
                    f"fallback.create: {purchase.arn} is still {purchase.status} and not deleted; "
                    "it bills by the hour: to delete it, repeat the command, or run "
                    "bedrock-spark stop"
                )
            self._clock.sleep(POLL_SECONDS)
        return Deletion(deleted)

    def _is_over(self, note: PurchaseNote) -> bool:
        """Tell whether a purchase that was just looked for and not found is known to be over."""
        now = self._clock.now()
        if note.arns:
            return note.is_deleting or now >= note.bought_at + _VISIBLE_SECONDS
        since = note.unlisted_since
        return since is not None and now >= since + UNLISTED_SECONDS

    def _may_appear(self, note: PurchaseNote, begun_at: float) -> bool:
        """Tell whether to look again in this command."""
        until = note.bought_at + _VISIBLE_SECONDS if note.arns else begun_at + _LOOK_SECONDS
        return self._clock.now() < until

    def _warning(self, note: PurchaseNote) -> str:
        hours = UNLISTED_SECONDS / 3600
        return (
            f"{note.model_units} model units named {note.name} may have been bought, and bill by "
            "the hour until they are deleted, though the service does not show them now. Repeat "
            "the command, or run bedrock-spark stop: each of them looks again, and deletes them. "
            f"They count as never bought after no listing has shown them for {hours:.0f} hours"
        )

    def _look(self, note: PurchaseNote) -> Purchase | None:
        """Return the purchase as the service shows it now, or None if it does not show it.

        Raises ProvisionedModelError if something with its name is not the run's.
        """
        for arn in note.arns:
            described = self._call("GetProvisionedModelThroughput", self._get, arn)
            if described is not None:
                return Purchase(arn, described["status"], described["modelUnits"])
        if note.arns:
            return None
        # The listing is of names that contain this name.
        summaries = self._call("ListProvisionedModelThroughputs", self._list, note.name)
        named = [s for s in summaries if s["provisionedModelName"] == note.name]
        if not named:
            note_unlisted(self._storage, note.number, self._clock.now())
            return None
        arn = named[0]["provisionedModelArn"]
        tags = self._call("ListTagsForResource", self._tags, arn)
        if tags.get(TAG) != self._run_id:
            raise ProvisionedModelError(
                f"fallback.create: {arn} has the name that this run would use, {note.name}, and "
                f"not its tag {TAG}: {self._run_id}; rename or delete it"
            )
        note_arn(self._storage, note.number, arn, self._clock.now())
        return Purchase(arn, named[0]["status"], named[0]["modelUnits"])

    def _note(self, model_id: str, config: CreateConfig) -> tuple[PurchaseNote, bool]:
        """Note a purchase in the run folder before it is made. Its number is the next free one.

        Returns what is noted, and whether this process noted it: another one may be faster.
        """
        number = max((note.number for note in read_purchases(self._storage)), default=0) + 1
        note = PurchaseNote(
            number,
            purchase_name(self._run_id, number),
            purchase_token(self._run_id, number),
            model_id,
            config.model_units,
            self._clock.now(),
        )
        is_new = note_intent(self._storage, note)
        return self._noted(number), is_new

    def _noted(self, number: int) -> PurchaseNote:
        return next(note for note in read_purchases(self._storage) if note.number == number)

    def _wait_until_visible(self, number: int) -> Purchase | None:
        """Find a purchase that was just made; None if the service does not show it in time."""
        begun_at = self._clock.now()
        while True:
            note = self._noted(number)
            purchase = self._look(note)
            if purchase is not None or not self._may_appear(note, begun_at):
                return purchase
            self._clock.sleep(POLL_SECONDS)

    def _create(self, note: PurchaseNote, is_new: bool) -> None:
        """Request a purchase, again if no reply comes: its token makes it the same purchase.

        If it is refused and surely no request before was accepted, it is noted as over.
        is_new: whether no process has requested it before
        """
        may_exist = not is_new
        action = f"buying {note.model_units} model units of {note.model_id}"

        def create() -> Any:
            nonlocal may_exist
            try:
                with job_errors(action, advise=False):
                    return self._client.create_provisioned_model_throughput(
                        clientRequestToken=note.token,
                        modelUnits=note.model_units,
                        provisionedModelName=note.name,
                        modelId=note.model_id,
                        tags=[{"key": TAG, "value": self._run_id}],
                    )
            except JobStateUnknownError:
                may_exist = True
                raise

        try:
            arn = retry_reading(self._clock)(create)["provisionedModelArn"]
        except (JobStateUnknownError, JobNameInUseError) as exc:
            # It may exist, so it is looked up by its name.
            log.warning("%s: %s", self._run_id, exc)
        except JobError as exc:
            if may_exist:
                raise ProvisionedModelError(
                    f"fallback.create: {exc}. {self._warning(note)}"
                ) from exc
            note_over(self._storage, note.number, REFUSED, self._clock.now())
            raise ProvisionedModelError(f"fallback.create: {exc}") from exc
        else:
            note_arn(self._storage, note.number, arn, self._clock.now())
            log.info("%s: bought %s", self._run_id, arn)

    def _get(self, arn: str) -> dict[str, Any] | None:
        try:
            return self._client.get_provisioned_model_throughput(provisionedModelId=arn)
        except self._client.exceptions.ResourceNotFoundException:
            return None

    def _list(self, name: str) -> list[dict[str, Any]]:
        pages = self._client.get_paginator("list_provisioned_model_throughputs")
        return [
            summary
            for page in pages.paginate(nameContains=name)
            for summary in page["provisionedModelSummaries"]
        ]

    def _tags(self, arn: str) -> dict[str, str]:
        reply = self._client.list_tags_for_resource(resourceARN=arn)
        return {tag["key"]: tag["value"] for tag in reply["tags"]}

    def _delete(self, arn: str) -> None:
        try:
            self._client.delete_provisioned_model_throughput(provisionedModelId=arn)
        except self._client.exceptions.ResourceNotFoundException:
            return  # an earlier try deleted it, and its reply was lost

    def _call(self, action: str, call: Callable[[str], Any], argument: str) -> Any:
        """Return the reply of a call that is safe to repeat; retry it as long as that may help."""

        def mapped_call() -> Any:
            with job_errors(action, advise=False):
                return call(argument)

        try:
            return retry_reading(self._clock)(mapped_call)
        except JobError as exc:
            raise ProvisionedModelError(
                f"fallback.create: {exc}. The throughput of this run is named "
                f"{purchase_name(self._run_id)} and bills by the hour until it is deleted"
            ) from exc
