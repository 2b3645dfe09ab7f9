"""The service model is the contract: all its constraints hold for requests and for replies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.model import OperationModel

from bedrock_emulator import LocalBedrock
from bedrock_emulator.wire.service_model import OPERATIONS, error_statuses, routes, service_model
from bedrock_emulator.wire.validation import violations

from .raw_http import RawClient
from .service_shapes import CLAUDE, CLAUDE_MODEL, example, mutations

_CUSTOM_BASE = "amazon.nova-micro-v1:0:128k"
_ALL = [(service, name) for service, names in OPERATIONS.items() for name in names]


@pytest.fixture(scope="module")
def client() -> Iterator[RawClient]:
    with LocalBedrock(speed=0) as local:
        yield RawClient(local.endpoint_url)


def _operation(service: str, name: str) -> OperationModel:
    return service_model(service).operation_model(name)


def _example(operation: OperationModel) -> dict[str, Any]:
    if operation.input_shape is None:
        return {}
    value: dict[str, Any] = example(operation.input_shape)
    return value


@pytest.mark.parametrize(("service", "name"), _ALL)
def test_the_example_breaks_no_constraint(service: str, name: str) -> None:
    """Otherwise the refusals in the next test would prove nothing."""
    operation = _operation(service, name)
    assert list(violations(_example(operation), operation.input_shape, "")) == []


@pytest.mark.parametrize(("service", "name"), _ALL)
def test_each_constraint_violated_once_is_refused(
    client: RawClient, service: str, name: str
) -> None:
    """Each gives a ValidationException: required, type, min, max, pattern, enum and union."""
    operation = _operation(service, name)
    params = _example(operation)
    changes = list(mutations(operation.input_shape))
    assert changes or not operation.input_shape.members
    accepted = []
    for mutation in changes:
        reply = client.call(operation, mutation.apply(params))
        if (reply.status, reply.error) != (400, "ValidationException"):
            accepted.append((mutation.path, mutation.constraint, reply.status, reply.error))
        else:
            # Refused by the constraint, not by a later check of the meaning of the values.
            assert b"failed to satisfy constraint" in reply.body or b"must be" in reply.body
    assert accepted == []


def test_there_are_mutations_of_every_kind() -> None:
    """There are more than 500 in all, so the test above does not pass for lack of mutations."""
    changes = [m for s, n in _ALL for m in mutations(_operation(s, n).input_shape)]
    kinds = {mutation.constraint for mutation in changes}
    assert len(changes) > 500
    assert {"required", "type", "min", "max", "pattern", "enum", "union of none"} <= kinds


def test_every_listed_operation_is_served(client: RawClient) -> None:
    """None replies that it is unknown, or with an internal error."""
    served = [route for route in routes() if route.is_served]
    assert len(served) == sum(map(len, OPERATIONS.values()))
    for route in served:
        reply = client.call(route.operation, _example(route.operation))
        assert reply.error not in ("UnknownOperationException", "InternalServerException")
        assert reply.status < 500


@pytest.mark.parametrize("code", sorted(error_statuses()))
def test_error_statuses_are_those_of_the_model(code: str) -> None:
    """A code has the same HTTP status in both services."""
    for service in OPERATIONS:
        model = service_model(service)
        if code in model.shape_names:
            assert (
                model.shape_for(code).metadata["error"]["httpStatusCode"]
                == (error_statuses()[code])
            )


def _outputs(local: LocalBedrock) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Call every operation with success; yield service, operation and output of each call."""
    s3, bedrock, runtime = (local.client(s) for s in ("s3", "bedrock", "bedrock-runtime"))
    s3.create_bucket(Bucket="bucket")
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": []}
    body["messages"] = [{"role": "user", "content": "hello there"}]
    line = json.dumps({"recordId": "a", "modelInput": body})
    s3.put_object(Bucket="bucket", Key="in.jsonl", Body=f"{line}\n".encode())
    job = {
        "jobName": "job-1",
        "roleArn": "arn:aws:iam::123456789012:role/batch",
        "modelId": CLAUDE,
        "clientRequestToken": "token",
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://bucket/in.jsonl"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket/out/"}},
        "vpcConfig": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]},
        "tags": [{"key": "team", "value": "a"}],
    }
    created = bedrock.create_model_invocation_job(**job)
    arn = created["jobArn"]
    yield "bedrock", "CreateModelInvocationJob", created
    for _ in range(4):
        yield (
            "bedrock",
            "GetModelInvocationJob",
            bedrock.get_model_invocation_job(jobIdentifier=arn),
        )
        local.advance_clock(200)
    yield "bedrock", "ListModelInvocationJobs", bedrock.list_model_invocation_jobs()
    other = bedrock.create_model_invocation_job(
        **{**job, "jobName": "job-2", "clientRequestToken": "other"}
    )
    yield (
        "bedrock",
        "StopModelInvocationJob",
        bedrock.stop_model_invocation_job(jobIdentifier=other["jobArn"]),
    )
    tags = [{"key": "stage", "value": "b"}]
    yield "bedrock", "TagResource", bedrock.tag_resource(resourceARN=arn, tags=tags)
    yield "bedrock", "ListTagsForResource", bedrock.list_tags_for_resource(resourceARN=arn)
    yield (
        "bedrock",
        "UntagResource",
        bedrock.untag_resource(resourceARN=arn, tagKeys=["team"]),
    )
    units = bedrock.create_provisioned_model_throughput(
        modelUnits=1,
        provisionedModelName="units",
        modelId=CLAUDE_MODEL,
    )
    yield "bedrock", "CreateProvisionedModelThroughput", units
    key = units["provisionedModelArn"]
    got = bedrock.get_provisioned_model_throughput(provisionedModelId=key)
    yield "bedrock", "GetProvisionedModelThroughput", got
    local.advance_clock(700)
    listed = bedrock.list_provisioned_model_throughputs()
    yield "bedrock", "ListProvisionedModelThroughputs", listed
    changed = bedrock.update_provisioned_model_throughput(
        provisionedModelId=key, desiredProvisionedModelName="other"
    )
    yield "bedrock", "UpdateProvisionedModelThroughput", changed
    turns = [{"role": "user", "content": [{"text": "hello"}]}]
    answer = runtime.invoke_model(modelId=key, body=json.dumps(body))
    yield "bedrock-runtime", "InvokeModel", {**answer, "body": answer["body"].read()}
    yield "bedrock-runtime", "Converse", runtime.converse(modelId=key, messages=turns)
    counted = runtime.count_tokens(modelId=CLAUDE, input={"converse": {"messages": turns}})
    yield "bedrock-runtime", "CountTokens", counted
    local.set_faults({"quotas": {"min_records": 1}, "guardrails": {"gr1": {"blocks": "x"}}})
    applied = runtime.apply_guardrail(
        guardrailIdentifier="gr1",
        guardrailVersion="1",
        source="INPUT",
        content=[{"text": {"text": "x"}}],
    )
    yield "bedrock-runtime", "ApplyGuardrail", applied
    deleted = bedrock.delete_provisioned_model_throughput(provisionedModelId=key)
    yield "bedrock", "DeleteProvisionedModelThroughput", deleted
    yield "bedrock", "ListFoundationModels", bedrock.list_foundation_models()
    yield (
        "bedrock",
        "GetFoundationModel",
        bedrock.get_foundation_model(modelIdentifier=CLAUDE_MODEL),
    )
    availability = bedrock.get_foundation_model_availability(modelId=CLAUDE_MODEL)
    yield "bedrock", "GetFoundationModelAvailability", availability
    source = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{CLAUDE}"
    created = bedrock.create_inference_profile(
        inferenceProfileName="Team A", description="A", modelSource={"copyFrom": source}
    )
    yield "bedrock", "CreateInferenceProfile", created
    profile = {"inferenceProfileIdentifier": created["inferenceProfileArn"]}
    yield "bedrock", "GetInferenceProfile", bedrock.get_inference_profile(**profile)
    yield "bedrock", "ListInferenceProfiles", bedrock.list_inference_profiles()
    yield "bedrock", "DeleteInferenceProfile", bedrock.delete_inference_profile(**profile)
    custom = f"arn:aws:bedrock:us-east-1:123456789012:custom-model/{_CUSTOM_BASE}/abcdefghijkl"
    yield "bedrock", "GetCustomModel", bedrock.get_custom_model(modelIdentifier=custom)
    local.set_faults({"custom_models": {"tickets": _CUSTOM_BASE}})
    yield "bedrock", "ListCustomModels", bedrock.list_custom_models()
    # The output of a stream is the list of its events, which are checked one by one.
    stream = runtime.invoke_model_with_response_stream(modelId=CLAUDE, body=json.dumps(body))
    yield "bedrock-runtime", "InvokeModelWithResponseStream", {"body": list(stream["body"])}
    talk = runtime.converse_stream(modelId=CLAUDE, messages=turns)
    yield "bedrock-runtime", "ConverseStream", {"stream": list(talk["stream"])}


def test_every_output_matches_the_model() -> None:
    """No required member is missing, none is unknown, and all values are valid."""
    called = set()
    with LocalBedrock({"quotas": {"min_records": 1}}, speed=0) as local:
        for service, name, output in _outputs(local):
            called.add((service, name))
            shape = _operation(service, name).output_shape
            value = {key: item for key, item in output.items() if key != "ResponseMetadata"}
            payload = shape.serialization.get("payload") if shape else None
            if payload and isinstance(value[payload], list):
                events = shape.members[payload]
                assert value[payload], name
                for event in value[payload]:
                    (kind,) = event
                    problems = violations(event[kind], events.members[kind], kind, closed=True)
                    assert list(problems) == [], name
            else:
                for model in (*value.get("modelSummaries", ()), value.get("modelDetails", {})):
                    if model.get("inferenceTypesSupported") == ["INFERENCE_PROFILE"]:
                        # The service's replies have this value; botocore's model lacks it.
                        model["inferenceTypesSupported"] = ["ON_DEMAND"]
                assert list(violations(value, shape, "", closed=True)) == [], name
    assert called == set(_ALL)
