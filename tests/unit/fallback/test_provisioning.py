"""Throughput that a run buys: at most one purchase, found after any crash, deleted at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from bedrock_spark.config import CreateConfig
from bedrock_spark.errors import ProvisionedModelError
from bedrock_spark.fallback.provisioning import TAG, ProvisionedThroughput, purchase_name
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import ACCOUNT, CLAUDE, FakeClock

CREATE = CreateConfig(model_units=2, confirm=True)


class Killed(BaseException):
    """The process is killed here."""


class NotFoundError(ClientError):
    """What botocore raises for a ResourceNotFoundException."""


class Account:
    """The provisioned throughput of one account and Region; names are unique in it.

    hidden: how many of the next listings are empty
    trouble: called before and after every call, with the point, such as `before:create`
    """

    def __init__(self) -> None:
        self.exceptions = type("exceptions", (), {"ResourceNotFoundException": NotFoundError})
        self.models: dict[str, dict[str, Any]] = {}
        self.created: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.hidden = 0
        self.trouble: Callable[[str], None] = lambda point: None

    def _call(self, name: str, work: Callable[[], Any]) -> Any:
        self.calls.append(name)
        self.trouble(f"before:{name}")
        result = work()
        self.trouble(f"after:{name}")
        return result

    def create_provisioned_model_throughput(self, **request: Any) -> Any:
        def work() -> Any:
            name = request["provisionedModelName"]
            if any(m["provisionedModelName"] == name for m in self.models.values()):
                raise failure("ValidationException", f"The name {name} is already in use.", 400)
            arn = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:provisioned-model/m{len(self.created):011d}"
            self.created.append(request)
            self.models[arn] = {
                "provisionedModelName": name,
                "provisionedModelArn": arn,
                "status": "Creating",
                "modelUnits": request["modelUnits"],
                "tags": request["tags"],
            }
            return {"provisionedModelArn": arn}

        return self._call("create", work)

    def get_paginator(self, _: str) -> Account:
        return self

    def paginate(self, nameContains: str) -> Any:  # noqa: N803 - AWS's name
        def work() -> Any:
            if self.hidden:
                self.hidden -= 1
                return [{"provisionedModelSummaries": []}]
            models = [m for m in self.models.values() if nameContains in m["provisionedModelName"]]
            return [{"provisionedModelSummaries": [m]} for m in models]

        return self._call("list", work)

    def list_tags_for_resource(self, resourceARN: str) -> Any:  # noqa: N803
        return self._call("tags", lambda: {"tags": self.models[resourceARN]["tags"]})

    def delete_provisioned_model_throughput(self, provisionedModelId: str) -> Any:  # noqa: N803
        def work() -> Any:
            model = self.models.get(provisionedModelId)
            if model is None:
                raise NotFoundError({"Error": {"Code": "ResourceNotFoundException"}}, "Delete")
            if model["status"] == "Creating":
                raise failure("ConflictException", "It is Creating.", 400)
            del self.models[provisionedModelId]

        return self._call("delete", work)

    def set_status(self, status: str = "InService") -> None:
        for model in self.models.values():
            model["status"] = status


def failure(code: str, message: str = "no", status: int = 400) -> ClientError:
    reply = {"Error": {"Code": code, "Message": message}}
    return ClientError({**reply, "ResponseMetadata": {"HTTPStatusCode": status}}, "Call")  # type: ignore[arg-type]


class WaitingClock(FakeClock):
    """A clock whose sleep makes all throughput of an account ready."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self.account = account

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.account.set_status()


@pytest.fixture
def account() -> Account:
    return Account()


def throughput_of(
    account: Account, folder: Path, run_id: str = "tickets-0a1b2c3d"
) -> ProvisionedThroughput:
    """Return the throughput of a run, as a new process opens it."""
    return ProvisionedThroughput(account, run_id, LocalStorage(str(folder)), WaitingClock(account))


def test_throughput_is_bought_once_and_found_again(account: Account, tmp_path: Path) -> None:
    """Another process finds it, too. The request follows from the config."""
    first = throughput_of(account, tmp_path).buy(CLAUDE, CREATE)
    second = throughput_of(account, tmp_path).buy(CLAUDE, CREATE)
    assert first == second
    (request,) = account.created
    assert request == {
        "clientRequestToken": request["clientRequestToken"],
        "modelUnits": 2,
        "provisionedModelName": "bs-tickets-0a1b2c3d",
        "modelId": CLAUDE,
        "tags": [{"key": TAG, "value": "tickets-0a1b2c3d"}],
    }


def test_throughput_is_deleted(account: Account, tmp_path: Path) -> None:
    """Delete waits until it is created: before that, the service refuses."""
    throughput = throughput_of(account, tmp_path)
    purchase = throughput.buy(CLAUDE, CREATE)
    assert throughput.delete() is not None
    assert account.models == {}
    assert purchase.status == "Creating"
    assert throughput.delete() is None


def test_a_run_that_bought_nothing_makes_no_call(account: Account, tmp_path: Path) -> None:
    """Its folder has no note of a purchase; the permissions for a call may be missing."""
    assert throughput_of(account, tmp_path).delete() is None
    assert account.calls == []


POINTS = [f"{when}:{name}" for name in ("create", "list", "tags") for when in ("before", "after")]


@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_while_buying_the_purchase_is_used(
    account: Account, tmp_path: Path, point: str
) -> None:
    """At any point: the next process uses the only purchase, and can delete it."""
    account.trouble = kill_once(account, point)
    with pytest.raises(Killed):
        throughput_of(account, tmp_path).buy(CLAUDE, CREATE)
    assert LocalStorage(str(tmp_path)).read_if_present(layout.PROVISIONED_FILE) is not None
    throughput = throughput_of(account, tmp_path)
    purchase = throughput.buy(CLAUDE, CREATE)
    assert len(account.created) == 1
    assert [*account.models] == [purchase.arn]
    assert throughput.delete() is not None
    assert account.models == {}


@pytest.mark.parametrize("point", [*POINTS[2:], "before:delete", "after:delete"])
def test_after_a_kill_while_deleting_the_next_process_deletes(
    account: Account, tmp_path: Path, point: str
) -> None:
    """Nothing is left in the end, and a further delete makes no call."""
    throughput_of(account, tmp_path).buy(CLAUDE, CREATE)
    account.trouble = kill_once(account, point)
    with pytest.raises(Killed):
        throughput_of(account, tmp_path).delete()
    throughput_of(account, tmp_path).delete()
    assert account.models == {}
    calls = len(account.calls)
    assert throughput_of(account, tmp_path).delete() is None
    assert len(account.calls) == calls


def kill_once(account: Account, point: str) -> Callable[[str], None]:
    """Return trouble that kills the process at a point, the first time."""

    def trouble(now: str) -> None:
        if now == point:
            account.trouble = lambda _: None
            raise Killed

    return trouble


@pytest.mark.parametrize("point", ["before:create", "after:create"])
@pytest.mark.parametrize(
    "error",
    [ReadTimeoutError(endpoint_url="x"), failure("InternalServerException", status=500)],
)
def test_a_lost_reply_causes_no_second_purchase(
    account: Account, tmp_path: Path, point: str, error: Exception
) -> None:
    """The purchase is looked up by its name. If it is missing, the error gives the name."""

    def trouble(now: str) -> None:
        if now == point:
            raise error

    account.trouble = trouble
    if point == "after:create":
        assert throughput_of(account, tmp_path).buy(CLAUDE, CREATE).arn in account.models
    else:
        with pytest.raises(ProvisionedModelError, match="bs-tickets-0a1b2c3d was bought and"):
            throughput_of(account, tmp_path).buy(CLAUDE, CREATE)
    assert len(account.created) <= 1


def test_a_listing_that_lags_is_repeated(account: Account, tmp_path: Path) -> None:
    """For a minute."""
    account.hidden = 2
    assert throughput_of(account, tmp_path).buy(CLAUDE, CREATE).arn in account.models


def test_failed_throughput_is_replaced(account: Account, tmp_path: Path) -> None:
    """It will never be ready, and the new one needs its name."""
    throughput_of(account, tmp_path).buy(CLAUDE, CREATE)
    account.set_status("Failed")
    throughput_of(account, tmp_path).buy(CLAUDE, CREATE)
    assert (len(account.created), len(account.models)) == (2, 1)


def test_throughput_of_others_is_not_touched(account: Account, tmp_path: Path) -> None:
    """It may have the same name by chance, but it has another tag."""
    throughput_of(account, tmp_path).buy(CLAUDE, CREATE)
    (model,) = account.models.values()
    model["tags"] = [{"key": TAG, "value": "another"}]
    for call in ("buy", "delete"):
        with pytest.raises(ProvisionedModelError, match="has the name that this run would use"):
            _ = (
                throughput_of(account, tmp_path).buy(CLAUDE, CREATE)
                if call == "buy"
                else throughput_of(account, tmp_path).delete()
            )
    assert len(account.models) == 1


@pytest.mark.parametrize("code", ["ServiceQuotaExceededException", "AccessDeniedException"])
def test_a_purchase_that_is_refused_says_why(account: Account, tmp_path: Path, code: str) -> None:
    """The error names the purchase, and has the service's message."""

    def trouble(now: str) -> None:
        if now == "before:create":
            raise failure(code, "no units for you")

    account.trouble = trouble
    message = f"buying 2 model units of {CLAUDE}: {code}: no units for you"
    with pytest.raises(ProvisionedModelError, match=message):
        throughput_of(account, tmp_path).buy(CLAUDE, CREATE)


def test_a_refused_deletion_names_the_throughput(account: Account, tmp_path: Path) -> None:
    """It bills until it is deleted, so the user must find it."""
    throughput = throughput_of(account, tmp_path)
    throughput.buy(CLAUDE, CREATE)
    account.set_status()

    def trouble(now: str) -> None:
        if now == "before:delete":
            raise failure("AccessDeniedException", "may not delete")

    account.trouble = trouble
    with pytest.raises(ProvisionedModelError, match=r"may not delete.*bs-tickets-0a1b2c3d"):
        throughput.delete()


@pytest.mark.parametrize(
    ("run_id", "name"),
    [
        ("tickets-0a1b2c3d", "bs-tickets-0a1b2c3d"),
        ("a--b_", "bs-a-b"),
        ("x" * 99, "bs-" + "x" * 60),
    ],
)
def test_purchase_names_are_valid(run_id: str, name: str) -> None:
    """Letters, digits and single dashes, at most 63 characters."""
    assert purchase_name(run_id) == name
