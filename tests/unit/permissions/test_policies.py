"""The policies of configs: whole for what a run calls, and no wider than the config."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from parliament import analyze_policy_string

from bedrock_spark.cli import main
from bedrock_spark.config import parse_config
from bedrock_spark.errors import ConfigError, ExitCode
from bedrock_spark.permissions import FORMATS, Policies, policies_of
from tests.models import CLAUDE, CLAUDE_MODEL, NOVA
from tests.unit.fakes import ROLE, config_values

ACCOUNT = "123456789012"
LAKE = {
    "source": {"format": "parquet", "path": "s3://lake/tickets/", "key": ["id"]},
    "results": {"path": "s3://lake/answers/"},
}
BUYS = {"model_id": CLAUDE_MODEL, "create": {"model_units": 1, "confirm": True}}
ALL = {
    **LAKE,
    "fallback": {**BUYS, "guardrail": {"id": "abc", "version": "1"}},
    "events": {"queue_url": f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/jobs"},
    "notify": {"sns_topic_arn": f"arn:aws:sns:us-east-1:{ACCOUNT}:runs"},
    "batch": {
        **config_values()["batch"],
        "tags": {"team": "a"},
        "cost_profile": True,
        "kms_key_id": "1234abcd-12ab-34cd-56ef-1234567890ab",
    },
}
CASES: dict[str, dict[str, Any]] = {
    "least": {},
    "lake": LAKE,
    "profile": {"model": {"id": CLAUDE}},
    "targets": {"targets": [{"model_id": NOVA, "region": "us-west-2", "uri": "s3://west/runs"}]},
    "all": ALL,
}
# The data of the linter is older than this action.
NEWER = {"bedrock:CountTokens"}
# The linter wants every kind of resource for these; a config names the kinds that it uses.
OF_ONE_KIND = {
    "bedrock:CreateInferenceProfile",
    "bedrock:CreateModelInvocationJob",
    "bedrock:CreateProvisionedModelThroughput",
    "bedrock:InvokeModel",
    "bedrock:InvokeModelWithResponseStream",
    "bedrock:ListTagsForResource",
    "bedrock:TagResource",
}


def policies(**sections: Any) -> Policies:
    values = {**config_values(), "run_uri": "s3://bucket/runs/tickets", **sections}
    return policies_of(parse_config(values), "us-east-1")


def statements(policy: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("name", CASES)
def test_the_linter_finds_nothing_that_is_ours(name: str) -> None:
    found = policies(**CASES[name])
    for policy in (found.caller, found.spark, found.service_role):
        if not policy["Statement"]:
            continue
        for finding in analyze_policy_string(json.dumps(policy)).findings:
            if finding.issue == "UNKNOWN_ACTION":
                assert finding.location["string"] in NEWER
            else:
                assert finding.issue == "RESOURCE_MISMATCH", finding
                assert {each["action"] for each in finding.detail} <= OF_ONE_KIND


def test_a_small_config_gets_nothing_that_it_does_not_need() -> None:
    found = policies()
    assert set(statements(found.caller)) == {
        *("StartJobs", "WatchJobs", "Lists", "PassTheServiceRole", "RunFolder"),
        *("BucketOfTheRunFolder", "CanaryAndFallback", "CountTokens", "DescribeModels"),
        "NumberOfSlots",
    }
    assert set(statements(found.service_role)) == {"RunFolder", "BucketOfTheRunFolder", "Model"}
    assert found.spark["Statement"] == []


def test_only_lists_have_every_resource_and_they_are_bound_to_the_regions() -> None:
    for statement in policies(**ALL).caller["Statement"]:
        if statement["Resource"] == "*" and statement["Sid"] != "NumberOfSlots":
            assert all(":List" in a or "Availability" in a for a in statement["Action"])
            assert statement["Condition"]["StringEquals"]["aws:RequestedRegion"] == ["us-east-1"]


def test_the_folder_is_that_of_the_run_alone() -> None:
    found = policies()
    for policy in (found.caller, found.service_role):
        own = statements(policy)
        assert own["RunFolder"]["Resource"] == "arn:aws:s3:::bucket/runs/tickets/*"
        assert own["BucketOfTheRunFolder"]["Resource"] == "arn:aws:s3:::bucket"
    assert "s3:DeleteObject" not in statements(found.service_role)["RunFolder"]["Action"]


def test_a_profile_needs_its_model_in_every_region() -> None:
    model = statements(policies(model={"id": CLAUDE}).service_role)["Model"]["Resource"]
    assert f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/{CLAUDE}" in model
    assert f"arn:aws:bedrock:*::foundation-model/{CLAUDE_MODEL}" in model


def test_targets_add_their_regions_and_folders() -> None:
    found = policies(**CASES["targets"])
    jobs = statements(found.caller)["WatchJobs"]["Resource"]
    assert jobs == [
        f"arn:aws:bedrock:{region}:{ACCOUNT}:model-invocation-job/*"
        for region in ("us-east-1", "us-west-2")
    ]
    assert "arn:aws:s3:::west/runs/*" in statements(found.service_role)["RunFolder"]["Resource"]


def test_spark_reads_the_source_and_writes_the_results() -> None:
    own = statements(policies(**LAKE).spark)
    assert "arn:aws:s3:::lake/tickets/*" in own["Source"]["Resource"]
    assert own["Source"]["Action"] == "s3:GetObject"
    assert own["Results"]["Resource"] == "arn:aws:s3:::lake/answers/*"


@pytest.mark.parametrize(
    ("mode", "actions"),
    [
        ("read_write", ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]),
        ("read", ["s3:GetObject"]),
        ("off", None),
    ],
)
def test_a_store_of_answers_is_read_and_added_to(mode: str, actions: list[str] | None) -> None:
    """No run may delete there: teams share it."""
    found = statements(policies(answers={"uri": "s3://lake/kept/", "mode": mode}).caller)
    assert ("BucketOfTheAnswers" in found) == ("Answers" in found) == (actions is not None)
    if actions is not None:
        assert listed(found["Answers"]["Action"]) == actions
        assert found["Answers"]["Resource"] == "arn:aws:s3:::lake/kept/*"


def test_spark_writes_the_copy_of_the_answers() -> None:
    """If it is a folder in S3 and the run writes it; a catalog has permissions of its own."""
    copy = {"uri": "s3://lake/kept/", "table": "s3a://lake/copy", "format": "delta"}
    own = statements(policies(answers=copy).spark)
    assert own["TableOfAnswers"]["Resource"] == "arn:aws:s3:::lake/copy/*"
    assert "s3:DeleteObject" in own["TableOfAnswers"]["Action"]
    assert own["BucketOfTheTable"]["Resource"] == "arn:aws:s3:::lake"
    for other in ({"table": "lake.a.b"}, {"mode": "read"}):
        assert "TableOfAnswers" not in statements(policies(answers={**copy, **other}).spark)


def test_the_role_trusts_jobs_of_its_account_only() -> None:
    trust = policies().trust["Statement"][0]
    assert trust["Principal"] == {"Service": "bedrock.amazonaws.com"}
    assert trust["Condition"]["StringEquals"]["aws:SourceAccount"] == ACCOUNT


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_holds_the_same_policies(form: str) -> None:
    found = policies(**ALL)
    document = json.loads(FORMATS[form](found))
    if form == "json":
        held = document
    elif form == "cloudformation":
        resources = document["Resources"]
        role = resources["ServiceRole"]["Properties"]
        held = {
            "caller": resources["CallerPolicy"]["Properties"]["PolicyDocument"],
            "spark": resources["SparkPolicy"]["Properties"]["PolicyDocument"],
            "trust": role["AssumeRolePolicyDocument"],
            "service_role": role["Policies"][0]["PolicyDocument"],
        }
    else:
        resource = document["resource"]
        managed = {k: v["policy"] for k, v in resource["aws_iam_policy"].items()}
        managed["trust"] = resource["aws_iam_role"]["service_role"]["assume_role_policy"]
        managed["service_role"] = resource["aws_iam_role_policy"]["service_role"]["policy"]
        held = {name: json.loads(text) for name, text in managed.items()}
    assert held == found.named()


def test_the_command_prints_them(tmp_path: Any) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({**config_values(), "run_uri": "s3://bucket/runs/tickets"}))
    result = CliRunner().invoke(main, ["iam", str(path)])
    assert result.exit_code == ExitCode.DONE, result.output
    assert json.loads(result.stdout) == policies().named()
    as_json = CliRunner().invoke(main, ["iam", str(path), "--json"])
    assert json.loads(as_json.stdout) == json.loads(result.stdout)
    both = CliRunner().invoke(main, ["iam", str(path), "--json", "--format", "terraform"])
    assert (both.exit_code, "contradict" in both.output) == (ExitCode.USAGE, True)
    local = CliRunner().invoke(main, ["iam", str(path), "--set", f"run_uri={tmp_path}/run"])
    assert local.exit_code == ExitCode.CONFIG
    assert "is not in S3" in local.stderr


def test_a_config_without_a_region_is_refused() -> None:
    batch = {"role_arn": ROLE}
    values = {**config_values(), "run_uri": "s3://bucket/runs/tickets", "batch": batch}
    with pytest.raises(ConfigError, match=r"batch\.region"):
        policies_of(parse_config(values), None)
