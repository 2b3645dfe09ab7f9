"""Service Quotas for Bedrock: the batch quotas that the fault script sets, under AWS's names.

Names: https://docs.aws.amazon.com/general/latest/gr/bedrock.html. Shapes: botocore's service model
of service-quotas, whose protocol is JSON with the operation in the header X-Amz-Target.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from bedrock_emulator.errors import ServiceError
from bedrock_emulator.models.catalog import listed_models
from bedrock_emulator.settings import ACCOUNT_ID
from bedrock_emulator.state.world import EmulatorState
from bedrock_emulator.wire.request_parsing import load_json
from bedrock_emulator.wire.serialization import HttpReply, dump

TARGET = "ServiceQuotasV20190624."
_GIGABYTE = 1024**3
_LISTS = ("ListServiceQuotas", "ListAWSDefaultServiceQuotas")
_GETS = ("GetServiceQuota", "GetAWSDefaultServiceQuota")


class ServiceQuotas:
    """Answers the operations that read quotas."""

    def __init__(self, world: EmulatorState) -> None:
        self._world = world

    def reply(self, target: str, body: bytes, region: str) -> HttpReply | None:
        """Return the reply; None if the request is not about the quotas of Bedrock."""
        operation = target.removeprefix(TARGET)
        try:
            request = load_json(body or b"{}")
            if not isinstance(request, dict) or request.get("ServiceCode") != "bedrock":
                return None
            if operation in _LISTS:
                return _reply(200, {"Quotas": list(self._quotas(region))})
            if operation in _GETS:
                return _reply(200, {"Quota": self._quota(str(request.get("QuotaCode")), region)})
        except ServiceError as exc:
            return _reply(400, {"__type": exc.code, "Message": exc.message})
        return None

    def _quota(self, code: str, region: str) -> dict[str, Any]:
        for quota in self._quotas(region):
            if quota["QuotaCode"] == code:
                return quota
        raise ServiceError("NoSuchResourceException", f"There is no quota {code} of bedrock.")

    def _quotas(self, region: str) -> Iterator[dict[str, Any]]:
        quotas = self._world.faults.quotas
        yield _entry(
            "Batch inference input file size (in GB)", quotas.max_file_bytes / _GIGABYTE, region
        )
        yield _entry("Batch inference job size (in GB)", quotas.max_job_bytes / _GIGABYTE, region)
        for model in listed_models().values():
            for name, value in (
                (
                    f"Minimum number of records per batch inference job for {model}",
                    quotas.min_records,
                ),
                (f"Records per batch inference job for {model}", quotas.max_records),
                (f"Records per input file per batch inference job for {model}", quotas.max_records),
                (
                    "Sum of in-progress and submitted batch inference jobs using a base model for "
                    f"{model}",
                    quotas.active_jobs,
                ),
            ):
                yield _entry(name, value, region)


def _entry(name: str, value: float, region: str) -> dict[str, Any]:
    code = f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"
    return {
        "ServiceCode": "bedrock",
        "ServiceName": "Amazon Bedrock",
        "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT_ID}:bedrock/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": float(value),
        "Unit": "None",
        "Adjustable": False,
        "GlobalQuota": False,
    }


def _reply(status: int, value: dict[str, Any]) -> HttpReply:
    headers = [("Content-Type", "application/x-amz-json-1.1")]
    if "__type" in value:
        headers.append(("x-amzn-errortype", value["__type"]))
    return HttpReply(status, headers, dump(value))
