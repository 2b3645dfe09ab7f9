"""Provisioned throughput that a run buys for its fallback, and deletes when the fallback ends.

It bills by the hour until it is deleted, so it must never be forgotten. The run folder notes it
before it is bought (write-ahead). Its name is a function of the run id, and a tag has the run id:
any process that continues or stops the run finds it by both. A name can exist only once per account
and Region. So no second one is bought, however often a reply is lost.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bedrock_spark.aws.errors import job_errors
from bedrock_spark.aws.protocols import BedrockClient
from bedrock_spark.aws.provisioned import FAILED, POLL_SECONDS, WAIT_SECONDS
from bedrock_spark.aws.retry import retry_reading, retry_throttled
from bedrock_spark.clock import Clock
from bedrock_spark.config import CreateConfig
from bedrock_spark.errors import (
    JobError,
    JobNameInUseError,
    JobStateUnknownError,
    ProvisionedModelError,
)
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

TAG = "bedrock-spark-run"
_NAME_MAX = 63
# A listing may not show a new purchase at once: it is read at most this often.
_FIND_ATTEMPTS = 4
_CHANGING = ("Creating", "Updating")


@dataclass(frozen=True)
class Purchase:
    """The provisioned throughput that was bought: ARN, status and number of model units."""

    arn: str
    status: str
    model_units: int


def purchase_name(run_id: str) -> str:
    """Return the name of the throughput that a run buys. It is found by this name."""
    return f"bs-{re.sub(r'[^0-9a-zA-Z]+', '-', run_id).strip('-')}"[:_NAME_MAX]


class ProvisionedThroughput:
    """The provisioned throughput of one run: at most one at any time."""

    def __init__(self, client: BedrockClient, run_id: str, storage: Storage, clock: Clock) -> None:
        self._client = client
        self._run_id = run_id
        self._storage = storage
        self._clock = clock
        self._name = purchase_name(run_id)

    def buy(self, model_id: str, config: CreateConfig) -> Purchase:
        """Return the run's throughput; buy it if there is none yet, or if it failed.

        Raises ProvisionedModelError if the service refuses.
        """
        purchase = self.find()
        if purchase is not None and purchase.status == FAILED:
            self.delete()
            purchase = None
        if purchase is None:
            self._note(model_id, config)
            self._create(model_id, config)
            purchase = self._find_new()
        if purchase is None:
            raise ProvisionedModelError(
                f"fallback.create: {self._name} was bought and cannot be found; look for it in the "
                "console, and delete it if it is there: it bills by the hour"
            )
        return purchase

    def find(self) -> Purchase | None:
        """Return the throughput that the run bought and did not delete, or None.

        Without a note in the run folder, the service is not asked. Raises ProvisionedModelError if
        something with that name is not the run's.
        """
        if self._storage.read_if_present(layout.PROVISIONED_FILE) is None:
            return None
        # The listing is of names that contain this name.
        summaries = self._call("ListProvisionedModelThroughputs", self._list)
        named = [s for s in summaries if s["provisionedModelName"] == self._name]
        if not named:
            return None
        arn = named[0]["provisionedModelArn"]
        tags = self._call("ListTagsForResource", lambda: self._tags(arn))
        if tags.get(TAG) != self._run_id:
            raise ProvisionedModelError(
                f"fallback.create: {arn} has the name that this run would use, {self._name}, and "
                f"not its tag {TAG}: {self._run_id}; rename or delete it"
            )
        return Purchase(arn, named[0]["status"], named[0]["modelUnits"])

    def delete(self) -> Purchase | None:
        """Delete the run's throughput and return it; None if there is none.

        The service refuses to delete it while it is being created or updated: wait until that is
        over. Raises ProvisionedModelError if that takes too long.
        """
        deadline = self._clock.now() + WAIT_SECONDS
        purchase = self.find()
        while purchase is not None and purchase.status in _CHANGING:
            if self._clock.now() >= deadline:
                raise ProvisionedModelError(
                    f"fallback.create: {purchase.arn} is still {purchase.status} and cannot be "
                    "deleted; it bills by the hour: to delete it, repeat the command, or run "
                    "bedrock-spark stop"
                )
            self._clock.sleep(POLL_SECONDS)
            purchase = self.find()
        if purchase is not None:
            arn = purchase.arn
            self._call("DeleteProvisionedModelThroughput", lambda: self._delete(arn))
            log.info("%s: deleted %s", self._run_id, arn)
        self._storage.delete([layout.PROVISIONED_FILE])
        return purchase

    def _note(self, model_id: str, config: CreateConfig) -> None:
        """Note the purchase in the run folder before it is made."""
        note = {"name": self._name, "model_id": model_id, "model_units": config.model_units}
        data = json.dumps({**note, "bought_at": self._clock.now()}).encode()
        self._storage.write(layout.PROVISIONED_FILE, data)

    def _find_new(self) -> Purchase | None:
        """Find a purchase that was just made; None if no listing shows it."""
        for _ in range(_FIND_ATTEMPTS):
            purchase = self.find()
            if purchase is not None:
                return purchase
            self._clock.sleep(POLL_SECONDS)
        return None

    def _create(self, model_id: str, config: CreateConfig) -> None:
        request = {
            "clientRequestToken": uuid.uuid4().hex,
            "modelUnits": config.model_units,
            "provisionedModelName": self._name,
            "modelId": model_id,
            "tags": [{"key": TAG, "value": self._run_id}],
        }
        action = f"buying {config.model_units} model units of {model_id}"

        def create() -> Any:
            return self._client.create_provisioned_model_throughput(**request)

        try:
            reply = retry_throttled(self._clock)(_with_our_errors(action, create))
            arn = reply["provisionedModelArn"]
        except (JobStateUnknownError, JobNameInUseError) as exc:
            # It may exist, so it is looked up by its name.
            log.warning("%s: %s", self._run_id, exc)
        except JobError as exc:
            raise ProvisionedModelError(f"fallback.create: {exc}") from exc
        else:
            log.info("%s: bought %s", self._run_id, arn)

    def _list(self) -> list[dict[str, Any]]:
        pages = self._client.get_paginator("list_provisioned_model_throughputs")
        return [
            summary
            for page in pages.paginate(nameContains=self._name)
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

    def _call(self, action: str, call: Callable[[], Any]) -> Any:
        """Return the reply of a call that is safe to repeat; retry it as long as that may help."""
        try:
            return retry_reading(self._clock)(_with_our_errors(action, call))
        except JobError as exc:
            raise ProvisionedModelError(
                f"fallback.create: {exc}. The throughput of this run is named {self._name} and "
                "bills by the hour until it is deleted"
            ) from exc


def _with_our_errors(action: str, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call with the errors of boto3 mapped to ours, whose messages name the action."""

    def mapped_call() -> Any:
        with job_errors(action, advise=False):
            return call()

    return mapped_call
