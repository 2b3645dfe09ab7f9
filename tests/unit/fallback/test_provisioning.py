"""Model units that a run buys: one at most, found again after any crash, and given back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from bedrock_spark.config import CreateConfig
from bedrock_spark.errors import ProvisionedModelError
from bedrock_spark.fallback.provisioning import TAG, ProvisionedThroughput, bought_name
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import ACCOUNT, CLAUDE, FakeClock

CREATE = CreateConfig(model_units=2, confirm=True)


class Killed(BaseException):
    """The process dies here."""


class NotFoundError(ClientError):
    """What botocore raises for a ResourceNotFoundException."""


class Account:
    """The provisioned throughput of one account and Region; names are unique in it.

    trouble: called before and after every call, with `before:create` and the like
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

    def paginate(self, nameContains: str) -> Any:  # noqa: N803 - the wire's name
        def work() -> Any:
            if self.hidden:
                self.hidden -= 1
                return [{"provisionedModelSummaries": []}]
            found = [m for m in self.models.values() if nameContains in m["provisionedModelName"]]
            return [{"provisionedModelSummaries": [m]} for m in found]

        return self._call("list", work)

    def list_tags_for_resource(self, resourceARN: str) -> Any:  # noqa: N803
        return self._call("tags", lambda: {"tags": self.models[resourceARN]["tags"]})

    def delete_provisioned_model_throughput(self, provisionedModelId: str) -> Any:  # noqa: N803
        def work() -> Any:
            found = self.models.get(provisionedModelId)
            if found is None:
                raise NotFoundError({"Error": {"Code": "ResourceNotFoundException"}}, "Delete")
            if found["status"] == "Creating":
                raise failure("ConflictException", "It is Creating.", 400)
            del self.models[provisionedModelId]

        return self._call("delete", work)

    def ready(self, status: str = "InService") -> None:
        for model in self.models.values():
            model["status"] = status


def failure(code: str, message: str = "no", status: int = 400) -> ClientError:
    reply = {"Error": {"Code": code, "Message": message}}
    return ClientError({**reply, "ResponseMetadata": {"HTTPStatusCode": status}}, "Call")  # type: ignore[arg-type]


class WaitingClock(FakeClock):
    """A clock on which waiting makes what is being created ready."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self.account = account

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.account.ready()


@pytest.fixture
def account() -> Account:
    return Account()


def bought(
    account: Account, folder: Path, run_id: str = "tickets-0a1b2c3d"
) -> ProvisionedThroughput:
    return ProvisionedThroughput(account, run_id, LocalStorage(str(folder)), WaitingClock(account))


def test_it_is_bought_once_and_found_again(account: Account, tmp_path: Path) -> None:
    """By another process, too; the request says what the config says."""
    first = bought(account, tmp_path).buy(CLAUDE, CREATE)
    again = bought(account, tmp_path).buy(CLAUDE, CREATE)
    assert first == again
    (request,) = account.created
    assert request == {
        "clientRequestToken": request["clientRequestToken"],
        "modelUnits": 2,
        "provisionedModelName": "bs-tickets-0a1b2c3d",
        "modelId": CLAUDE,
        "tags": [{"key": TAG, "value": "tickets-0a1b2c3d"}],
    }


def test_it_is_given_back(account: Account, tmp_path: Path) -> None:
    """Once it can be: while it is being created it cannot be deleted."""
    model = bought(account, tmp_path)
    found = model.buy(CLAUDE, CREATE)
    assert model.give_back() is not None
    assert account.models == {}
    assert found.status == "Creating"
    assert model.give_back() is None


def test_a_run_that_bought_nothing_asks_nobody(account: Account, tmp_path: Path) -> None:
    """Its folder says so; the permissions may not even be there."""
    assert bought(account, tmp_path).give_back() is None
    assert account.calls == []


POINTS = [f"{when}:{name}" for name in ("create", "list", "tags") for when in ("before", "after")]


@pytest.mark.parametrize("point", POINTS)
def test_killed_while_buying(account: Account, tmp_path: Path, point: str) -> None:
    """Wherever that is, the next process uses what was bought, and one only was bought."""
    account.trouble = dying_once(account, point)
    with pytest.raises(Killed):
        bought(account, tmp_path).buy(CLAUDE, CREATE)
    assert LocalStorage(str(tmp_path)).read_if_present(layout.PROVISIONED_FILE) is not None
    model = bought(account, tmp_path)
    found = model.buy(CLAUDE, CREATE)
    assert len(account.created) == 1
    assert [*account.models] == [found.arn]
    assert model.give_back() is not None
    assert account.models == {}


@pytest.mark.parametrize("point", [*POINTS[2:], "before:delete", "after:delete"])
def test_killed_while_giving_back(account: Account, tmp_path: Path, point: str) -> None:
    """Whoever comes next gives back what is left; nothing is left in the end."""
    bought(account, tmp_path).buy(CLAUDE, CREATE)
    account.trouble = dying_once(account, point)
    with pytest.raises(Killed):
        bought(account, tmp_path).give_back()
    bought(account, tmp_path).give_back()
    assert account.models == {}
    calls = len(account.calls)
    assert bought(account, tmp_path).give_back() is None
    assert len(account.calls) == calls


def dying_once(account: Account, point: str) -> Callable[[str], None]:
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
def test_a_lost_reply_buys_no_second_one(
    account: Account, tmp_path: Path, point: str, error: Exception
) -> None:
    """It is looked for by its name; where it is not there, the error says what to look for."""

    def trouble(now: str) -> None:
        if now == point:
            raise error

    account.trouble = trouble
    if point == "after:create":
        assert bought(account, tmp_path).buy(CLAUDE, CREATE).arn in account.models
    else:
        with pytest.raises(ProvisionedModelError, match="bs-tickets-0a1b2c3d was bought and"):
            bought(account, tmp_path).buy(CLAUDE, CREATE)
    assert len(account.created) <= 1


def test_a_list_that_lags_is_looked_at_again(account: Account, tmp_path: Path) -> None:
    """For a minute."""
    account.hidden = 2
    assert bought(account, tmp_path).buy(CLAUDE, CREATE).arn in account.models


def test_one_that_failed_is_replaced(account: Account, tmp_path: Path) -> None:
    """It will not become ready, and its name is in the way."""
    bought(account, tmp_path).buy(CLAUDE, CREATE)
    account.ready("Failed")
    bought(account, tmp_path).buy(CLAUDE, CREATE)
    assert (len(account.created), len(account.models)) == (2, 1)


def test_what_is_not_the_runs_is_not_touched(account: Account, tmp_path: Path) -> None:
    """The name may be taken by chance: the tag tells."""
    bought(account, tmp_path).buy(CLAUDE, CREATE)
    (model,) = account.models.values()
    model["tags"] = [{"key": TAG, "value": "another"}]
    for call in ("buy", "give_back"):
        with pytest.raises(ProvisionedModelError, match="has the name that this run would use"):
            _ = (
                bought(account, tmp_path).buy(CLAUDE, CREATE)
                if call == "buy"
                else bought(account, tmp_path).give_back()
            )
    assert len(account.models) == 1


@pytest.mark.parametrize("code", ["ServiceQuotaExceededException", "AccessDeniedException"])
def test_a_purchase_that_is_refused_says_why(account: Account, tmp_path: Path, code: str) -> None:
    """And names what was wanted."""

    def trouble(now: str) -> None:
        if now == "before:create":
            raise failure(code, "no units for you")

    account.trouble = trouble
    said = f"buying 2 model units of {CLAUDE}: {code}: no units for you"
    with pytest.raises(ProvisionedModelError, match=said):
        bought(account, tmp_path).buy(CLAUDE, CREATE)


def test_a_deletion_that_is_refused_says_what_bills_on(account: Account, tmp_path: Path) -> None:
    """With the name to look for."""
    model = bought(account, tmp_path)
    model.buy(CLAUDE, CREATE)
    account.ready()

    def trouble(now: str) -> None:
        if now == "before:delete":
            raise failure("AccessDeniedException", "may not delete")

    account.trouble = trouble
    with pytest.raises(ProvisionedModelError, match=r"may not delete.*bs-tickets-0a1b2c3d"):
        model.give_back()


@pytest.mark.parametrize(
    ("run_id", "name"),
    [
        ("tickets-0a1b2c3d", "bs-tickets-0a1b2c3d"),
        ("a--b_", "bs-a-b"),
        ("x" * 99, "bs-" + "x" * 60),
    ],
)
def test_names_are_those_that_the_service_takes(run_id: str, name: str) -> None:
    """Letters, digits and single dashes, 63 characters at most."""
    assert bought_name(run_id) == name
