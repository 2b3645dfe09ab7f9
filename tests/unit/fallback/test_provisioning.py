"""Throughput that a run buys: at most one purchase, found after any crash, deleted at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from bedrock_spark.config import CreateConfig
from bedrock_spark.errors import ProvisionedModelError
from bedrock_spark.fallback.provisioning import (
    TAG,
    UNLISTED_SECONDS,
    ProvisionedThroughput,
    purchase_name,
    purchase_token,
)
from bedrock_spark.run_folder.purchases import PurchaseNote, open_purchase, read_purchases
from bedrock_spark.storage import LocalStorage, Storage
from tests.unit.fakes import ACCOUNT, CLAUDE_MODEL, FakeClock

CREATE = CreateConfig(model_units=2, confirm=True)


class Killed(BaseException):
    """The process is killed here."""


class NotFoundError(ClientError):
    """What botocore raises for a ResourceNotFoundException."""


class Account:
    """The provisioned throughput of one account and Region; names are unique in it.

    A repeated token is the same purchase.

    hidden: how many of the next listings are empty
    unknown: how many of the next calls by ARN find nothing
    most: how many there were at once at most
    trouble: called before and after every call, with the point, such as `before:create`
    """

    def __init__(self) -> None:
        self.exceptions = type("exceptions", (), {"ResourceNotFoundException": NotFoundError})
        self.models: dict[str, dict[str, Any]] = {}
        self.created: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.hidden = 0
        self.unknown = 0
        self.most = 0
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
            for arn, model in self.models.items():
                if model["token"] == request["clientRequestToken"]:
                    return {"provisionedModelArn": arn}
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
                "token": request["clientRequestToken"],
            }
            self.most = max(self.most, len(self.models))
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

    def get_provisioned_model_throughput(self, provisionedModelId: str) -> Any:  # noqa: N803
        def work() -> Any:
            self.unknown, was_unknown = max(0, self.unknown - 1), self.unknown
            if was_unknown or provisionedModelId not in self.models:
                raise NotFoundError({"Error": {"Code": "ResourceNotFoundException"}}, "Get")
            return self.models[provisionedModelId]

        return self._call("get", work)

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
    first = throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    second = throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    assert first == second
    (request,) = account.created
    assert request == {
        "clientRequestToken": purchase_token("tickets-0a1b2c3d", 1),
        "modelUnits": 2,
        "provisionedModelName": "bs-tickets-0a1b2c3d",
        "modelId": CLAUDE_MODEL,
        "tags": [{"key": TAG, "value": "tickets-0a1b2c3d"}],
    }


def test_throughput_is_deleted(account: Account, tmp_path: Path) -> None:
    """Delete waits until it is created: before that, the service refuses."""
    throughput = throughput_of(account, tmp_path)
    purchase = throughput.buy(CLAUDE_MODEL, CREATE)
    deletion = throughput.delete()
    assert (deletion.deleted is not None, deletion.warning) == (True, None)
    assert account.models == {}
    assert purchase.status == "Creating"
    assert account.calls[-2:] == ["delete", "get"]  # the service itself says that it is gone
    assert throughput.delete().deleted is None


def test_a_run_that_bought_nothing_makes_no_call(account: Account, tmp_path: Path) -> None:
    """Its folder has no note of a purchase; the permissions for a call may be missing."""
    assert throughput_of(account, tmp_path).delete().deleted is None
    assert account.calls == []


class Killing:
    """A storage whose process is killed before or after a chosen write; `points` counts them."""

    def __init__(self, storage: Storage, points: Points) -> None:
        self._storage = storage
        self._points = points

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def create(self, key: str, data: bytes) -> None:
        self._points.pass_by()
        self._storage.create(key, data)
        self._points.pass_by()


class Points:
    """Counts the moments before and after every call and every write; kills at one of them."""

    def __init__(self, kill_at: int) -> None:
        self.kill_at = kill_at
        self.passed = 0

    def pass_by(self, _: str = "") -> None:
        self.passed += 1
        if self.passed == self.kill_at:
            raise Killed


LAGS = {"no lag": (0, 0), "listings lag": (9, 0), "everything lags": (9, 5)}


@pytest.mark.parametrize(("hidden", "unknown"), LAGS.values(), ids=LAGS.keys())
@pytest.mark.parametrize("then", ["run", "stop", "stop and run", "stop and stop"])
def test_killed_anywhere_nothing_is_bought_twice_and_nothing_bills_for_ever(
    tmp_path: Path, hidden: int, unknown: int, then: str
) -> None:
    """A process buys and deletes. It is killed at each call and each write; another carries on.

    There is never more than one purchase. In the end none is left and none is noted as open. While
    one exists and is not deleted, it is noted.
    """
    kill_at = 1
    while True:
        account, folder = Account(), tmp_path / f"{kill_at}"
        clock = WaitingClock(account)
        storage = LocalStorage(str(folder))
        points = Points(kill_at)
        account.trouble = points.pass_by
        account.hidden, account.unknown = hidden, unknown
        first = ProvisionedThroughput(account, "r", Killing(storage, points), clock)
        try:
            first.buy(CLAUDE_MODEL, CREATE)
            first.delete()
        except Killed:
            pass
        else:
            assert points.passed > 15
            break
        account.trouble = lambda _: None
        later = ProvisionedThroughput(account, "r", storage, clock)
        for step in then.split(" and "):
            assert not account.models or open_purchase(storage) is not None
            if step == "run":
                assert later.buy(CLAUDE_MODEL, CREATE).arn in account.models
                later.delete()
            elif later.delete().warning is not None:
                assert open_purchase(storage) is not None
            assert account.most <= 1
        while open_purchase(storage) is not None:
            clock.time += UNLISTED_SECONDS / 2
            later.delete()
        assert account.models == {}
        calls = len(account.calls)
        assert later.delete().deleted is None
        assert len(account.calls) == calls
        kill_at += 1


def test_what_no_listing_shows_yet_is_not_forgotten(account: Account, tmp_path: Path) -> None:
    """Its ARN is known from the reply, so that listings are not needed."""
    account.hidden = 1000
    throughput = throughput_of(account, tmp_path)
    assert throughput.buy(CLAUDE_MODEL, CREATE).arn in account.models
    assert throughput_of(account, tmp_path).delete().deleted is not None
    assert account.models == {}
    assert "list" not in account.calls


def test_one_listing_that_lacks_it_is_no_proof(account: Account, tmp_path: Path) -> None:
    """A process dies after the purchase, before it knows the ARN; listings lag for an hour.

    Every stop until then says that something may bill. The first one that finds it deletes it.
    """
    account.trouble = kill_once(account, "after:create")
    with pytest.raises(Killed):
        throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    account.hidden = 1000
    clock = WaitingClock(account)
    later = ProvisionedThroughput(account, "tickets-0a1b2c3d", LocalStorage(str(tmp_path)), clock)
    for _ in range(3):
        deletion = later.delete()
        assert "2 model units named bs-tickets-0a1b2c3d may have been bought" in str(
            deletion.warning
        )
        clock.time += 1200
    assert len(account.models) == 1
    account.hidden = 0
    assert later.delete().deleted is not None
    assert account.models == {}


def test_a_purchase_that_was_never_made_is_given_up_after_hours_of_listings(
    account: Account, tmp_path: Path
) -> None:
    """Four hours after a listing lacked it for the first time; it costs nothing then."""
    account.trouble = kill_once(account, "before:create")
    with pytest.raises(Killed):
        throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    storage, clock = LocalStorage(str(tmp_path)), WaitingClock(account)
    clock.time += 10 * UNLISTED_SECONDS  # nobody looked
    later = ProvisionedThroughput(account, "tickets-0a1b2c3d", storage, clock)
    assert later.delete().warning is not None
    clock.time += UNLISTED_SECONDS - 200
    assert later.delete().warning is not None
    clock.time += 80
    assert later.delete().warning is None
    (note,) = read_purchases(storage)
    assert (note.why, note.unit_hours(clock.time)) == ("never listed", 0)


def test_not_found_right_after_the_purchase_is_no_proof(account: Account, tmp_path: Path) -> None:
    """For ten minutes the service may not know the ARN yet: delete waits, and deletes it."""
    throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    account.unknown = 20
    assert throughput_of(account, tmp_path).delete().deleted is not None
    assert account.models == {}


def test_what_someone_else_deleted_is_over(account: Account, tmp_path: Path) -> None:
    """After ten minutes, "not found" is proof. The next purchase has another name and token."""
    storage, clock = LocalStorage(str(tmp_path)), WaitingClock(account)
    throughput = ProvisionedThroughput(account, "r", storage, clock)
    throughput.buy(CLAUDE_MODEL, CREATE)
    account.models.clear()
    clock.time += 601
    throughput.buy(CLAUDE_MODEL, CREATE)
    assert [r["provisionedModelName"] for r in account.created] == ["bs-r", "bs-r-2"]
    assert len({r["clientRequestToken"] for r in account.created}) == 2
    assert [note.may_bill for note in read_purchases(storage)] == [False, True]


def test_the_noted_purchase_is_repeated_not_that_of_a_changed_config(
    account: Account, tmp_path: Path
) -> None:
    """With other parameters the same token would be refused, or buy a second time."""
    account.trouble = kill_once(account, "before:create")
    with pytest.raises(Killed):
        throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    changed = CreateConfig(model_units=7, confirm=True)
    assert throughput_of(account, tmp_path).buy(CLAUDE_MODEL, changed).model_units == 2


def test_a_deletion_whose_reply_is_lost_is_repeated(account: Account, tmp_path: Path) -> None:
    """The service then does not find it, which is what was wanted."""
    throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    lost = iter([ReadTimeoutError(endpoint_url="x")])

    def trouble(now: str) -> None:
        error = next(lost, None) if now == "after:delete" else None
        if error is not None:
            raise error

    account.trouble = trouble
    assert throughput_of(account, tmp_path).delete().deleted is not None
    assert account.models == {}
    assert open_purchase(LocalStorage(str(tmp_path))) is None


@pytest.mark.parametrize(
    ("note", "hours"),
    [
        ({}, 2 * 3),
        ({"over_at": 60.0, "why": "deleted"}, 2),
        ({"over_at": 3601.0, "why": "deleted"}, 2 * 2),
        ({"over_at": 9.0, "why": "refused"}, 0),
        ({"over_at": 99_999.0, "why": "never listed"}, 0),
    ],
)
def test_unit_hours(note: dict[str, Any], hours: int) -> None:
    """A started hour counts whole. What was never bought costs nothing."""
    purchase = PurchaseNote(1, "n", "t", CLAUDE_MODEL, 2, 0.0, **note)
    assert purchase.unit_hours(7201.0) == hours


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
    """The request is repeated, and is the same purchase. The error gives the name."""

    def trouble(now: str) -> None:
        if now == point:
            raise error

    account.trouble = trouble
    if point == "after:create":  # the reply is lost each time, so it is looked up by its name
        assert throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE).arn in account.models
    else:
        with pytest.raises(ProvisionedModelError, match="bs-tickets-0a1b2c3d was bought and"):
            throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    assert len(account.created) <= 1


def test_failed_throughput_is_replaced(account: Account, tmp_path: Path) -> None:
    """It will never be ready. A listing may still show it, so the new one has another name."""
    throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    account.set_status("Failed")
    throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    assert (len(account.created), len(account.models)) == (2, 1)


def test_throughput_of_others_is_not_touched(account: Account, tmp_path: Path) -> None:
    """It may have the same name by chance, but it has another tag."""
    account.trouble = kill_once(account, "after:create")
    with pytest.raises(Killed):
        throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    (model,) = account.models.values()
    model["tags"] = [{"key": TAG, "value": "another"}]
    for call in ("buy", "delete"):
        with pytest.raises(ProvisionedModelError, match="has the name that this run would use"):
            _ = (
                throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
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
    message = f"buying 2 model units of {CLAUDE_MODEL}: {code}: no units for you"
    with pytest.raises(ProvisionedModelError, match=message):
        throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    # Nothing was bought, so nothing is looked for.
    assert open_purchase(LocalStorage(str(tmp_path))) is None


def test_a_refusal_after_a_lost_reply_proves_nothing(account: Account, tmp_path: Path) -> None:
    """The purchase whose reply was lost may be the one that uses up the quota."""
    errors = iter(
        [ReadTimeoutError(endpoint_url="x"), failure("ServiceQuotaExceededException", "no units")]
    )

    def trouble(now: str) -> None:
        if now == "before:create":
            raise next(errors)

    account.trouble = trouble
    with pytest.raises(ProvisionedModelError, match=r"no units\. 2 model units named .* may have"):
        throughput_of(account, tmp_path).buy(CLAUDE_MODEL, CREATE)
    assert open_purchase(LocalStorage(str(tmp_path))) is not None


def test_a_refused_deletion_names_the_throughput(account: Account, tmp_path: Path) -> None:
    """It bills until it is deleted, so the user must find it."""
    throughput = throughput_of(account, tmp_path)
    throughput.buy(CLAUDE_MODEL, CREATE)
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
        ("x" * 59 + "-y", "bs-" + "x" * 59),
    ],
)
def test_purchase_names_are_valid(run_id: str, name: str) -> None:
    """Letters, digits and single dashes, at most 63 characters."""
    assert purchase_name(run_id) == name
