"""The inference profile of a run: made once, found again after a kill, deleted when it is done."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.batch_jobs import BatchJobs
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import JobRejectedError
from bedrock_spark.fanout import cost_profiles, leased_controller
from bedrock_spark.fanout.cost_profiles import (
    TAG,
    CostProfiles,
    delete_cost_profiles,
    profile_name,
    profile_token,
)
from bedrock_spark.fanout.slots import Slots
from bedrock_spark.fanout.targets import Target
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cost_profiles import place_digest, profiles_in_use
from bedrock_spark.run_folder.lease import CONTROL, STOP, Lease
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.report_file import DONE
from bedrock_spark.run_folder.run import Run, begin_run, new_run_id
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock, make_config

from .kit import CLAUDE_MODEL, Kit

CLOCK = SystemClock()


@pytest.fixture
def run(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a run of its own, whose calls reach the local Bedrock."""
    for name, value in kit.local.environment().items():
        monkeypatch.setenv(name, value)
    kit.local.set_faults({"quotas": {"min_records": 1}})
    config = make_config(batch={"cost_profile": True, "tags": {"team": "search"}})
    aws = AwsSettings("us-east-1", kit.local.endpoint_url)
    return Run(new_run_id(str(tmp_path)), config, LocalStorage(str(tmp_path)), aws)


def target(kit: Kit, model_id: str = CLAUDE_MODEL) -> Target:
    return Target("", model_id, "role", "us-east-1", BatchJobs(kit.bedrock, CLOCK), Slots(5))


def own_profiles(kit: Kit, run: Run) -> list[dict[str, Any]]:
    """Return the profiles of applications whose name is the run's."""
    listed = kit.bedrock.list_inference_profiles(typeEquals="APPLICATION", maxResults=1000)
    profiles: list[dict[str, Any]] = listed["inferenceProfileSummaries"]
    return [p for p in profiles if run.run_id in p["inferenceProfileName"]]


@pytest.mark.parametrize("model_id", [CLAUDE_MODEL, f"us.{CLAUDE_MODEL}"])
def test_a_profile_is_made_once_with_the_tags_of_the_run(kit: Kit, run: Run, model_id: str) -> None:
    """Of a foundation model or a system's profile. Another process uses the same one."""
    arns = [CostProfiles(run, CLOCK).arn_for(target(kit, model_id)) for _ in range(2)]
    (profile,) = own_profiles(kit, run)
    assert arns == [profile["inferenceProfileArn"]] * 2
    assert profile["models"][0]["modelArn"].endswith(f"/{CLAUDE_MODEL}")
    tags = kit.bedrock.list_tags_for_resource(resourceARN=arns[0])["tags"]
    assert {tag["key"]: tag["value"] for tag in tags} == {"team": "search", TAG: run.run_id}


def test_each_target_has_its_own_profile(kit: Kit, run: Run) -> None:
    """A profile is of one model."""
    profiles = CostProfiles(run, CLOCK)
    models = (CLAUDE_MODEL, "anthropic.claude-sonnet-4-6")
    assert len({profiles.arn_for(target(kit, model)) for model in models}) == 2
    assert len(own_profiles(kit, run)) == 2


def test_a_profile_that_a_killed_process_made_is_found_by_its_name(kit: Kit, run: Run) -> None:
    """It had no time to note the ARN, and the service has forgotten the token."""
    arn = CostProfiles(run, CLOCK).arn_for(target(kit))
    (note,) = run.storage.list(f"{layout.COST_PROFILES}/")
    run.storage.delete([note.key])
    renamed = replace(run, config=make_config(batch={"cost_profile": True, "tags": {"x": "y"}}))
    assert CostProfiles(renamed, CLOCK).arn_for(target(kit)) == arn
    assert len(own_profiles(kit, run)) == 1
    assert [profile.arn for profile in profiles_in_use(run.storage)] == [arn]


def test_a_lost_reply_makes_no_second_profile(kit: Kit, run: Run) -> None:
    """The call is repeated with the same token."""
    before = kit.local.requests().get("CreateInferenceProfile", 0)
    faults = {"CreateInferenceProfile": {"drop_after": [before + 1]}}
    kit.local.set_faults({"operations": faults})
    arn = CostProfiles(run, FakeClock()).arn_for(target(kit))
    assert [p["inferenceProfileArn"] for p in own_profiles(kit, run)] == [arn]


def test_a_profile_is_deleted_only_when_its_jobs_are_settled(
    kit: Kit, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Until then it is a warning. A later job of the run gets a new one."""
    profiles = CostProfiles(run, CLOCK)
    arn = profiles.arn_for(target(kit))
    job = kit.submit(1, modelId=arn)
    delete_cost_profiles(run, CLOCK)
    assert "is used by a model invocation job" in caplog.text
    assert len(own_profiles(kit, run)) == 1
    assert kit.settle(job)["status"] == "Completed"
    delete_cost_profiles(run, CLOCK)
    delete_cost_profiles(run, CLOCK)
    assert (own_profiles(kit, run), profiles_in_use(run.storage)) == ([], [])
    again = CostProfiles(run, CLOCK).arn_for(target(kit))
    assert again != arn
    assert [p["inferenceProfileArn"] for p in own_profiles(kit, run)] == [again]


@pytest.mark.parametrize("purpose", [CONTROL, STOP])
def test_a_process_that_has_the_lease_deletes_what_another_could_not(
    kit: Kit, run: Run, monkeypatch: pytest.MonkeyPatch, purpose: str
) -> None:
    """The run is done while `advance` or `stop` works on it."""
    report = {"state": "unfinished"}
    monkeypatch.setattr(cost_profiles, "read_report", lambda *_: report)
    module = sys.modules["bedrock_spark.fanout.watch"]  # `fanout.watch` is its function
    monkeypatch.setattr(module, "check_reachable", lambda _: None)
    run = begin_run(run)
    manifest = RunManifest(run.run_id, 0, "a INT", (), ())
    CostProfiles(run, CLOCK).arn_for(target(kit))
    with leased_controller(run, manifest, CLOCK, purpose=purpose):
        delete_cost_profiles(run, CLOCK)
        assert len(own_profiles(kit, run)) == 1
    assert len(own_profiles(kit, run)) == 1  # it is not done
    with leased_controller(run, manifest, CLOCK, purpose=purpose):
        report["state"] = DONE
        delete_cost_profiles(run, CLOCK)
    assert own_profiles(kit, run) == []


def test_no_job_names_a_profile_that_a_killed_process_deleted(
    kit: Kit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before or after the call, the run goes on with a new one; the old one is deleted."""
    arn = CostProfiles(run, CLOCK).arn_for(target(kit))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cost_profiles, "note_deleted", killed)
        with pytest.raises(KeyboardInterrupt):
            delete_cost_profiles(run, CLOCK)
    second = CostProfiles(run, CLOCK).arn_for(target(kit))
    assert second != arn
    delete_cost_profiles(run, CLOCK)
    second = CostProfiles(run, CLOCK).arn_for(target(kit))
    with monkeypatch.context() as patched:
        patched.setattr(cost_profiles, "delete_profile", killed)
        with pytest.raises(KeyboardInterrupt):
            delete_cost_profiles(run, CLOCK)
    third = CostProfiles(run, CLOCK).arn_for(target(kit))
    assert len({arn, second, third}) == 3
    listed = {p["inferenceProfileArn"] for p in own_profiles(kit, run)}
    assert listed == {second, third}
    delete_cost_profiles(run, CLOCK)
    assert own_profiles(kit, run) == []


def test_a_process_without_the_lease_deletes_none(kit: Kit, run: Run) -> None:
    """Another one carries the run on, and may be about to name a profile in a job."""
    arn = CostProfiles(run, CLOCK).arn_for(target(kit))
    with Lease(run.storage, CLOCK):
        delete_cost_profiles(run, CLOCK)
    assert [p["inferenceProfileArn"] for p in own_profiles(kit, run)] == [arn]
    assert [profile.arn for profile in profiles_in_use(run.storage)] == [arn]
    delete_cost_profiles(run, CLOCK)
    assert own_profiles(kit, run) == []


def test_a_profile_that_somebody_deleted_is_deleted(kit: Kit, run: Run) -> None:
    """It is not asked for again."""
    arn = CostProfiles(run, CLOCK).arn_for(target(kit))
    kit.bedrock.delete_inference_profile(inferenceProfileIdentifier=arn)
    delete_cost_profiles(run, CLOCK)
    assert profiles_in_use(run.storage) == []


@pytest.mark.parametrize("code", ["AccessDeniedException", "ServiceQuotaExceededException"])
def test_a_refused_profile_is_no_full_slot(kit: Kit, run: Run, code: str) -> None:
    """It ends the submitting: no job can be created without it."""
    fault = {"error_rate": 1.0, "error": code}
    kit.local.set_faults({"operations": {"CreateInferenceProfile": fault}})
    with pytest.raises(JobRejectedError, match="creating the inference profile"):
        CostProfiles(run, CLOCK).arn_for(target(kit))
    assert profiles_in_use(run.storage) == []


def test_names_and_tokens_fit_the_service(kit: Kit) -> None:
    """For any run folder, and any number."""
    shape = kit.bedrock.meta.service_model.operation_model("CreateInferenceProfile").input_shape
    name, token = (
        shape.members[n].metadata for n in ("inferenceProfileName", "clientRequestToken")
    )
    for folder in ("s3://b/x", "s3://bucket/" + "long-" * 30, "s3://bucket/Ünï--code"):
        for number in (1, 2, 12345):
            run_id, place = new_run_id(folder), place_digest("us-east-1", CLAUDE_MODEL)
            made = profile_name(run_id, place, number)
            assert re.fullmatch(name["pattern"], made)
            assert len(made) <= name["max"]
            assert re.fullmatch(token["pattern"], profile_token(run_id, place, number))
