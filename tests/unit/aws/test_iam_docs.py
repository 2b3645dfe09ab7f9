"""docs/iam.md: its policies are valid, and allow every call that the code makes."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

import bedrock_spark
from bedrock_spark.aws import protocols

PACKAGE = Path(bedrock_spark.__file__).parent
DOC = (PACKAGE.parent / "docs" / "iam.md").read_text(encoding="utf-8")
POLICIES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOC, re.DOTALL)]
CALLER, TRUST, ROLE, VPC = POLICIES

# The prefix of the actions of each boto3 service.
CLIENTS = {
    "BedrockClient": ("bedrock", "bedrock"),
    "RuntimeClient": ("bedrock-runtime", "bedrock"),
    "S3Client": ("s3", "s3"),
    "QueueClient": ("sqs", "sqs"),
    "TopicClient": ("sns", "sns"),
    "QuotasClient": ("service-quotas", "servicequotas"),
}
# Calls that are checked as other actions, or as several. The others have an action of their name.
ACTIONS = {
    "converse": ["bedrock:InvokeModel"],
    "converse_stream": ["bedrock:InvokeModelWithResponseStream"],
    "head_object": ["s3:GetObject"],
    "delete_objects": ["s3:DeleteObject"],
    "list_objects_v2": ["s3:ListBucket"],
    "list_multipart_uploads": ["s3:ListBucketMultipartUploads"],
    "upload_file": ["s3:PutObject", "s3:AbortMultipartUpload"],
    # S3 has no actions for the parts of an object: docs.aws.amazon.com/AmazonS3, mpuAndPermissions.
    "create_multipart_upload": ["s3:PutObject"],
    "upload_part": ["s3:PutObject"],
    "complete_multipart_upload": ["s3:PutObject"],
    "copy": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
    # With tags, as batch.tags and fallback.create have them.
    "create_model_invocation_job": ["bedrock:CreateModelInvocationJob", "bedrock:TagResource"],
    "create_provisioned_model_throughput": [
        "bedrock:CreateProvisionedModelThroughput",
        "bedrock:TagResource",
    ],
    "get_caller_identity": [],
}


# The playground's list of models needs it: docs/ui.md. The paginated lists of aws/model_lists.py
# are the playground's, too.
NOT_OF_A_RUN = ("get_paginator", "list_foundation_models")


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def allowed(policy: dict[str, Any]) -> set[str]:
    """Return the actions that a policy allows on some resource."""
    return {action for s in policy["Statement"] for action in listed(s["Action"])}


def paginated() -> Iterator[str]:
    """Yield the operations that a run calls by a paginator; those of doctor are on its page."""
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "doctor" or path.name == "model_lists.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if is_call and node.func.attr == "get_paginator" and node.args:
                assert isinstance(node.args[0], ast.Constant), path
                yield str(node.args[0].value)


@cache
def operations() -> frozenset[tuple[str, str]]:
    """Return every call of the code: the client in aws/protocols.py, and the method.

    mypy checks that the code calls no other method of a client.
    """
    calls = {
        (name, method)
        for name, kind in inspect.getmembers(protocols, inspect.isclass)
        if name.endswith("Client") and kind.__module__ == protocols.__name__
        for method, function in inspect.getmembers(kind, inspect.isfunction)
        if not method.startswith("_") and method not in NOT_OF_A_RUN
    }
    for operation in paginated():
        owners = [name for name, (service, _) in CLIENTS.items() if operation in methods(service)]
        assert len(owners) == 1, operation
        calls.add((owners[0], operation))
    return frozenset(calls)


@cache
def methods(service: str) -> Mapping[str, str]:
    """Return the names of the operations of a service, by the methods of boto3's client."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


def actions_of(client: str, method: str) -> list[str]:
    """Return the actions that a call needs."""
    if method in ACTIONS:
        return ACTIONS[method]
    service, prefix = CLIENTS[client]
    return [f"{prefix}:{methods(service)[method]}"]


def test_the_caller_may_make_every_call() -> None:
    """And a call that is new in the code must be added to the policy."""
    calls = operations()
    assert len(calls) >= 24
    needed = {action for call in calls for action in actions_of(*call)}
    assert needed <= allowed(CALLER)


def test_the_caller_may_do_nothing_that_no_call_needs() -> None:
    """But pass the role, use a guardrail and a key, and ask for a job by its ARN."""
    needed = {action for call in operations() for action in actions_of(*call)}
    extra = {"iam:PassRole", "bedrock:ApplyGuardrail", "kms:Decrypt", "kms:GenerateDataKey"}
    assert allowed(CALLER) - needed - extra <= {"bedrock:GetModelInvocationJob"}


@pytest.mark.parametrize("policy", POLICIES, ids=["caller", "trust", "role", "vpc"])
def test_a_policy_has_the_form_of_iam(policy: dict[str, Any]) -> None:
    """Version, unique statement ids of letters and digits, actions with their service, ARNs."""
    assert policy["Version"] == "2012-10-17"
    ids = [statement["Sid"] for statement in policy["Statement"]]
    assert len(set(ids)) == len(ids)
    for statement in policy["Statement"]:
        assert re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"])
        assert statement["Effect"] == "Allow"
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}
        for action in listed(statement["Action"]):
            assert re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", action)
        if policy is not TRUST:
            for resource in listed(statement["Resource"]):
                assert re.fullmatch(r"\*|arn:aws:[a-z0-9]+:\*?:\d*:.+", resource)


def test_every_action_of_bedrock_exists() -> None:
    """As an operation of the service model, or as one of IAM alone."""
    known = {"bedrock:ApplyGuardrail", "bedrock:TagResource", "bedrock:ListTagsForResource"}
    session = botocore.session.get_session()
    for service in ("bedrock", "bedrock-runtime"):
        known |= {f"bedrock:{n}" for n in session.get_service_model(service).operation_names}
    used = allowed(CALLER) | allowed(ROLE)
    assert {action for action in used if action.startswith("bedrock:")} <= known


@pytest.mark.parametrize("policy", [CALLER, ROLE], ids=["caller", "role"])
def test_the_project_may_be_used_wherever_the_model_may(policy: dict[str, Any]) -> None:
    """The service model of bedrock-runtime asks for both."""
    documentation = botocore.session.get_session().get_service_model("bedrock-runtime")
    text = documentation.operation_model("InvokeModel").documentation
    assert "on both the inference target and the project" in text
    for statement in policy["Statement"]:
        if "bedrock:InvokeModel" in listed(statement["Action"]):
            assert "arn:aws:bedrock:*:111122223333:project/*" in statement["Resource"]


def test_every_statement_of_the_caller_is_explained() -> None:
    """In one of the two tables, which name no other statement."""
    rows = re.findall(r"^\| (`[^|]*) \|", DOC, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(statement["Sid"] for statement in CALLER["Statement"])


def test_the_role_has_what_aws_asks_for() -> None:
    """Objects, listing, the model, and keys and interfaces if they are used."""
    assert allowed(TRUST) == {"sts:AssumeRole"}
    assert {"s3:GetObject", "s3:PutObject", "s3:ListBucket", "bedrock:InvokeModel"} < allowed(ROLE)
    assert {"kms:Decrypt", "kms:GenerateDataKey"} < allowed(ROLE)
    assert {"ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission"} < allowed(VPC)
