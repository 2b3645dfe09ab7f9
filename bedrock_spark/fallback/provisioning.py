"""Provisioned throughput that a run buys for its fallback, and gives back when it ends.

It bills by the hour until it is deleted, so it must never be forgotten: before it is bought, that
is noted in the run folder; its name is a function of the run id and it is tagged with it. Whoever
carries the run on, or stops it, finds it again by both. The name can exist once per account and
Region, so however often a reply is lost, no second one is bought.
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
from bedrock_spark.aws.provisioned import FAILED, LOOK_SECONDS, WAIT_SECONDS
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
_LOOKS = 4
_CHANGING = ("Creating", "Updating")


@dataclass(frozen=True)
class Bought:
    """What was bought: its ARN, status and model."""

    arn: str
    status: str
    model_units: int


def bought_name(run_id: str) -> str:
    """Return the name of what a run buys, by which it is found again."""
    return f"bs-{re.sub(r'[^0-9a-zA-Z]+', '-', run_id).strip('-')}"[:_NAME_MAX]


class ProvisionedThroughput:
    """The provisioned throughput of one run: at most one at any time."""

    def __init__(self, client: Any, run_id: str, storage: Storage, clock: Clock) -> None:
        self._client = client
        self._run_id = run_id
        self._storage = storage
        self._clock = clock
        self._name = bought_name(run_id)

    def buy(self, model_id: str, config: CreateConfig) -> Bought:
        """Return the run's own, which is bought where there is none yet.

        Raises ProvisionedModelError where the service sells none.
        """
        found = self.find()
        if found is not None and found.status == FAILED:
            self.give_back()
            found = None
        if found is None:
            self._note(model_id, config)
            self._create(model_id, config)
            found = self._find_soon()
        if found is None:
            raise ProvisionedModelError(
                f"fallback.create: {self._name} was bought and cannot be found; look for it in the "
                "console, and delete it if it is there: it bills by the hour"
            )
        return found

    def find(self) -> Bought | None:
        """Return what the run bought and did not give back, or None.

        Where the run folder has no note of it, nothing is looked for. Raises ProvisionedModelError
        where something of that name is not the run's.
        """
        if self._storage.read_if_present(layout.PROVISIONED_FILE) is None:
            return None
        pages = self._read("ListProvisionedModelThroughputs", self._list)
        named = [one for one in pages if one["provisionedModelName"] == self._name]
        if not named:
            return None
        arn = named[0]["provisionedModelArn"]
        tags = self._read("ListTagsForResource", lambda: self._tags(arn))
        if tags.get(TAG) != self._run_id:
            raise ProvisionedModelError(
                f"fallback.create: {arn} has the name that this run would use, {self._name}, and "
                f"not its tag {TAG}: {self._run_id}; rename or delete it"
            )
        return Bought(arn, named[0]["status"], named[0]["modelUnits"])

    def give_back(self) -> Bought | None:
        """Delete what the run bought, and return it; None where there is nothing.

        While it is being created it cannot be deleted; that is waited for.
        """
        deadline = self._clock.now() + WAIT_SECONDS
        found = self.find()
        while found is not None and found.status in _CHANGING:
            if self._clock.now() >= deadline:
                raise ProvisionedModelError(
                    f"fallback.create: {found.arn} is still {found.status} and cannot be deleted; "
                    "it bills by the hour: repeat the command, or bedrock-spark stop, to delete it"
                )
            self._clock.sleep(LOOK_SECONDS)
            found = self.find()
        if found is not None:
            arn = found.arn
            self._read("DeleteProvisionedModelThroughput", lambda: self._delete(arn))
            log.info("%s: deleted %s", self._run_id, arn)
        self._storage.delete([layout.PROVISIONED_FILE])
        return found

    def _note(self, model_id: str, config: CreateConfig) -> None:
        """Write down, before it is done, that something is bought."""
        told = {"name": self._name, "model_id": model_id, "model_units": config.model_units}
        data = json.dumps({**told, "bought_at": self._clock.now()}).encode()
        self._storage.write(layout.PROVISIONED_FILE, data)

    def _find_soon(self) -> Bought | None:
        """Look for what was bought just now; a list may not show it at once."""
        for _ in range(_LOOKS):
            found = self.find()
            if found is not None:
                return found
            self._clock.sleep(LOOK_SECONDS)
        return None

    def _create(self, model_id: str, config: CreateConfig) -> None:
        request = {
            "clientRequestToken": uuid.uuid4().hex,
            "modelUnits": config.model_units,
            "provisionedModelName": self._name,
            "modelId": model_id,
            "tags": [{"key": TAG, "value": self._run_id}],
        }
        what = f"buying {config.model_units} model units of {model_id}"
        try:
            arn = retry_throttled(self._clock)(
                _call(lambda: self._client.create_provisioned_model_throughput(**request), what)
            )["provisionedModelArn"]
        except (JobStateUnknownError, JobNameInUseError) as exc:
            # It may be there all the same: it is looked for by its name.
            log.warning("%s: %s", self._run_id, exc)
        except JobError as exc:
            raise ProvisionedModelError(f"fallback.create: {exc}") from exc
        else:
            log.info("%s: bought %s", self._run_id, arn)

    def _list(self) -> list[dict[str, Any]]:
        pages = self._client.get_paginator("list_provisioned_model_throughputs")
        return [
            one
            for page in pages.paginate(nameContains=self._name)
            for one in page["provisionedModelSummaries"]
        ]

    def _tags(self, arn: str) -> dict[str, str]:
        reply = self._client.list_tags_for_resource(resourceARN=arn)
        return {tag["key"]: tag["value"] for tag in reply["tags"]}

    def _delete(self, arn: str) -> None:
        try:
            self._client.delete_provisioned_model_throughput(provisionedModelId=arn)
        except self._client.exceptions.ResourceNotFoundException:
            return  # an earlier try deleted it, and its reply was lost

    def _read(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return retry_reading(self._clock)(_call(call, what))
        except JobError as exc:
            raise ProvisionedModelError(
                f"fallback.create: {exc}. What this run bought is named {self._name} and bills by "
                "the hour until it is deleted"
            ) from exc


def _call(call: Callable[[], Any], what: str) -> Callable[[], Any]:
    def once() -> Any:
        with job_errors(what, advise=False):
            return call()

    return once
