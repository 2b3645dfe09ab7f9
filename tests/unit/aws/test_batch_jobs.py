"""Batch jobs: the requests, the replies, and that everything about a job follows from its plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.session
import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.aws.batch_jobs import ACTIVE, SETTLED, BatchJobs, SeenJob
from bedrock_spark.aws.retry import CONTROL_ATTEMPTS
from bedrock_spark.errors import (
    JobError,
    JobNameInUseError,
    JobRejectedError,
    JobStateUnknownError,
    JobThrottledError,
    NoFreeSlotError,
)
from bedrock_spark.fanout.job_request import create_request
from bedrock_spark.limits import CLIENT_REQUEST_TOKEN, JOB_NAME, JOB_NAME_MAX, S3_URI
from bedrock_spark.run_folder.job_plan import JobPlan, plan_job
from bedrock_spark.run_folder.layout import shard_id
from bedrock_spark.run_folder.run import new_run_id
from tests.unit.fakes import (
    CLAUDE,
    CLAUDE_MODEL,
    ROLE,
    CannedHttp,
    FakeClock,
    aws_failure,
    make_config,
    summary,
)

Canned = Callable[..., CannedHttp]
ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl"
MODEL = botocore.session.get_session().get_service_model("bedrock")
CREATE = MODEL.operation_model("CreateModelInvocationJob").input_shape


def plan(**changed: Any) -> JobPlan:
    values = {
        "run_id": "tickets-abcdefgh",
        "shard_id": "shard-00042-00",
        "sha256": "f" * 64,
        "model_id": CLAUDE,
        "attempt": 1,
        "prepare_id": "0a1b2c3d4e5f",
    }
    return plan_job(**{**values, **changed})  # type: ignore[arg-type]


def faults(value: Any, shape: Any, where: str = "") -> Iterator[str]:
    """Yield what the service would refuse in a value, patterns and maxima included.

    botocore itself checks types, required members and minima only.
    """
    if shape.type_name == "structure":
        yield from (f"{where}.{n} is missing" for n in shape.required_members if n not in value)
        if getattr(shape, "is_tagged_union", False) and len(value) != 1:
            yield f"{where} is a union and has {len(value)} members"
        for name, item in value.items():
            if name in shape.members:
                yield from faults(item, shape.members[name], f"{where}.{name}")
            else:
                yield f"{where}.{name} is unknown"
        return
    size = value if shape.type_name in ("integer", "long") else len(value)
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and size < least) or (most is not None and size > most):
        yield f"{where} has size {size}"
    if shape.type_name == "list":
        for i, item in enumerate(value):
            yield from faults(item, shape.member, f"{where}[{i}]")
    if shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            yield f"{where} is not one of {shape.enum}"
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            yield f"{where} does not match {pattern}"


def test_a_plan_follows_from_its_arguments_alone() -> None:
    """Any process that plans this attempt, at any time, gets the same token, name and place."""
    assert plan() == plan()
    assert plan() == JobPlan(
        shard_id="shard-00042-00",
        attempt=1,
        job_name="tickets-abcdefgh-shard-00042-00-a1-2ae4a17a",
        token=plan().token,
        input_key="shards/0a1b2c3d4e5f/shard-00042-00.jsonl",
        output_prefix="output/shard-00042-00/a1-2ae4a17a/",
    )
    assert plan().token.startswith("2ae4a17a")


@pytest.mark.parametrize(
    "changed",
    [{"run_id": "other-abcdefgh"}, {"sha256": "e" * 64}, {"model_id": "m"}, {"attempt": 2}],
)
def test_another_attempt_is_another_job(changed: dict[str, Any]) -> None:
    """Any of the four changes the token: the service must not mistake it for an existing job."""
    other = plan(**changed)
    assert other.token != plan().token
    assert other.job_name != plan().job_name
    assert other.output_prefix != plan().output_prefix


@given(
    st.text(min_size=1),
    st.integers(0, 999_999),
    st.integers(0, 999),
    st.integers(1, 10),
    st.text(min_size=1),
)
def test_names_tokens_and_places_fit_the_services_patterns(
    folder: str, bucket: int, cut: int, attempt: int, model_id: str
) -> None:
    """For any run folder, any shard, any model and every attempt that a config allows."""
    shard = shard_id(bucket, cut)
    made = plan_job(
        new_run_id(folder), shard, "0" * 64, model_id, attempt, prepare_id="0a1b2c3d4e5f"
    )
    assert JOB_NAME.fullmatch(made.job_name)
    assert len(made.job_name) <= JOB_NAME_MAX
    assert CLIENT_REQUEST_TOKEN.fullmatch(made.token)
    assert S3_URI.fullmatch(f"s3://bucket/run/{made.output_prefix}")
    assert S3_URI.fullmatch(f"s3://bucket/run/{made.input_key}")
    assert shard in made.job_name


def test_every_status_of_the_service_is_active_or_settled() -> None:
    """A new status in a newer botocore must be looked at; until then it counts as active."""
    shape = MODEL.shape_for("ModelInvocationJobStatus")
    assert set(shape.enum) == ACTIVE | SETTLED
    assert not ACTIVE & SETTLED
    assert all(SeenJob("", "", None, s).is_settled for s in SETTLED)
    assert not any(SeenJob("", "", None, s).is_settled for s in (*ACTIVE, "SomethingNew"))


def test_a_jobs_id_is_the_last_part_of_its_arn() -> None:
    """The job writes its output into a folder of this name."""
    assert SeenJob(ARN, "", None, "Completed").job_id == "abcdefghijkl"


CONFIGS: list[dict[str, Any]] = [
    {},
    {"model": {"invocation": "converse"}},
    {"model": {"id": CLAUDE_MODEL}},
    {
        "batch": {
            "tags": {"team": "search", "a:b/c": "1 2"},
            "kms_key_id": "alias/batch",
            "timeout_hours": 168,
            "vpc": {"subnet_ids": ["subnet-1a", "subnet-2"], "security_group_ids": ["sg-12"]},
        }
    },
]


@pytest.mark.parametrize("sections", CONFIGS)
@pytest.mark.parametrize(
    "uri", ["s3://bucket", "s3://my-bucket/a/b_c/d", "s3://bucket/" + "x" * 940]
)
def test_the_service_accepts_every_request(sections: dict[str, Any], uri: str) -> None:
    """Types, required members, patterns and maxima, by botocore's service model."""
    config = make_config(uri, **sections)
    request = create_request(config, config.run_uri, plan(), bucket_owner="111122223333")
    assert list(faults(request, CREATE)) == []


def test_the_check_of_requests_finds_faults() -> None:
    """Else the test above would pass for any request."""
    config = make_config()
    request = create_request(config, config.run_uri, plan())
    wrong = {
        "jobName": "under_score",
        "timeoutDurationInHours": 169,
        "modelInvocationType": "Invoke",
        "clientRequestToken": "a_b",
        "tags": [{"key": "k"}],
        "outputDataConfig": {},
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://bucket/a=b"}},
        "new": 1,
    }
    for name, value in wrong.items():
        assert list(faults({**request, name: value}, CREATE)), name
    del request["roleArn"]
    assert list(faults(request, CREATE)) == [".roleArn is missing"]


def test_a_request_has_every_option_of_the_config() -> None:
    """The whole request, with every option set, and with the tags in a fixed order."""
    config = make_config(**CONFIGS[3], model={"invocation": "converse"})
    made = plan()
    owner = "111122223333"
    assert create_request(config, config.run_uri, made, bucket_owner=owner) == {
        "jobName": made.job_name,
        "clientRequestToken": made.token,
        "roleArn": ROLE,
        "modelId": CLAUDE,
        "modelInvocationType": "Converse",
        "inputDataConfig": {
            "s3InputDataConfig": {
                "s3InputFormat": "JSONL",
                "s3Uri": f"s3://bucket/runs/one/{made.input_key}",
                "s3BucketOwner": owner,
            }
        },
        "outputDataConfig": {
            "s3OutputDataConfig": {
                "s3Uri": f"s3://bucket/runs/one/{made.output_prefix}",
                "s3EncryptionKeyId": "alias/batch",
                "s3BucketOwner": owner,
            }
        },
        "timeoutDurationInHours": 168,
        "tags": [{"key": "a:b/c", "value": "1 2"}, {"key": "team", "value": "search"}],
        "vpcConfig": {"subnetIds": ["subnet-1a", "subnet-2"], "securityGroupIds": ["sg-12"]},
    }


def test_an_option_that_is_not_configured_is_not_sent() -> None:
    """The service's own defaults apply."""
    config = make_config()
    request = create_request(config, config.run_uri, plan())
    assert not {"tags", "vpcConfig"} & request.keys()
    assert request["modelInvocationType"] == "InvokeModel"
    output = request["outputDataConfig"]["s3OutputDataConfig"]
    assert not {"s3EncryptionKeyId", "s3BucketOwner"} & output.keys()
    assert "s3BucketOwner" not in request["inputDataConfig"]["s3InputDataConfig"]


def test_records_that_go_through_converse_say_so_in_their_job() -> None:
    """The type of a job follows from the family, as its records do."""
    for model in ({"id": "us.xai.grok-4.7"}, {"id": CLAUDE, "family": "converse"}):
        config = make_config(model=model, request={"prompt": "{{ a }}"})
        request = create_request(config, config.run_uri, plan())
        assert request["modelInvocationType"] == "Converse"


@pytest.fixture
def stubbed(bedrock: Any) -> Iterator[Stubber]:
    with Stubber(bedrock) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_a_job_is_created_as_planned(bedrock: Any, stubbed: Stubber, clock: FakeClock) -> None:
    """The request is sent without a change; the ARN is returned."""
    config = make_config()
    request = create_request(config, config.run_uri, plan())
    stubbed.add_response("create_model_invocation_job", {"jobArn": ARN}, request)
    assert BatchJobs(bedrock, clock).create(request) == ARN


def test_every_page_of_a_list_is_read(bedrock: Any, stubbed: Stubber, clock: FakeClock) -> None:
    """By name, a thousand jobs a page, of any status; an empty page is not the end."""
    request: dict[str, Any] = {"nameContains": "tickets-abcdefgh", "maxResults": 1000}
    pages: list[list[Any]] = [
        [summary("a"), summary("b", "InProgress")],
        [],
        [summary("c", "Failed")],
    ]
    for i, page in enumerate(pages):
        reply: dict[str, Any] = {"invocationJobSummaries": page}
        if i + 1 < len(pages):
            reply["nextToken"] = f"page{i + 1}"
        expected = {**request, "nextToken": f"page{i}"} if i else request
        stubbed.add_response("list_model_invocation_jobs", reply, expected)
    jobs = BatchJobs(bedrock, clock).list("tickets-abcdefgh")
    assert [(j.job_name, j.status) for j in jobs] == [
        ("a", "Submitted"),
        ("b", "InProgress"),
        ("c", "Failed"),
    ]


def test_a_listed_job_is_read_with_its_counts(
    bedrock: Any, stubbed: Stubber, clock: FakeClock
) -> None:
    """All counts are optional: an older service sends none of them."""
    full = summary(
        "a",
        "PartiallyCompleted",
        clientRequestToken="t",
        message="m",
        totalRecordCount=10,
        processedRecordCount=9,
        successRecordCount=7,
        errorRecordCount=2,
    )
    bare = {k: v for k, v in summary("b").items() if k != "status"}
    stubbed.add_response("list_model_invocation_jobs", {"invocationJobSummaries": [full, bare]})
    first, second = BatchJobs(bedrock, clock).list("x")
    arn = str(full["jobArn"])
    assert first == SeenJob(arn, "a", "t", "PartiallyCompleted", "m", 10, 9, 7, 2)
    assert second == SeenJob(arn, "b", None, "Submitted")


def test_a_list_without_jobs_is_empty(bedrock: Any, stubbed: Stubber, clock: FakeClock) -> None:
    """The member may be absent."""
    stubbed.add_response("list_model_invocation_jobs", {})
    assert BatchJobs(bedrock, clock).list("x") == []


@pytest.mark.parametrize(
    ("headers", "speed"),
    [
        ({}, 1.0),
        ({"X-Bedrock-Emulator-Speed": "500"}, 500.0),
        ({"x-bedrock-emulator-speed": "0.5"}, 1.0),
        ({"x-bedrock-emulator-speed": "fast"}, 1.0),
        ({"x-bedrock-emulator-speed": "nan"}, 1.0),
        ({"x-bedrock-emulator-speed": "inf"}, 1.0),
    ],
)
def test_only_a_local_bedrock_has_a_fast_clock(
    bedrock: Any, clock: FakeClock, canned: Canned, headers: dict[str, str], speed: float
) -> None:
    """It says so in a header of its own, which no reply of AWS has."""
    canned(bedrock, (200, {"invocationJobSummaries": []}, headers))
    jobs = BatchJobs(bedrock, clock)
    assert jobs.list("x") == []
    assert jobs.speed == speed


def test_a_job_is_stopped_by_its_arn(bedrock: Any, stubbed: Stubber, clock: FakeClock) -> None:
    """The ARN is the identifier."""
    stubbed.add_response("stop_model_invocation_job", {}, {"jobIdentifier": ARN})
    BatchJobs(bedrock, clock).stop(ARN)


REQUEST = create_request(make_config(), "s3://bucket/runs/one", plan())


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (aws_failure("ServiceQuotaExceededException", 400), NoFreeSlotError),
        (aws_failure("ConflictException", 400), JobNameInUseError),
        (aws_failure("ValidationException", 400), JobRejectedError),
        (aws_failure("InternalServerException", 500), JobStateUnknownError),
        (aws_failure("ServiceUnavailableException", 503), JobStateUnknownError),
        (ReadTimeoutError(endpoint_url="https://x"), JobStateUnknownError),
        ((200, b"<html>a proxy's page</html>"), JobStateUnknownError),
    ],
)
def test_a_create_that_may_have_happened_is_not_retried(
    bedrock: Any, canned: Canned, clock: FakeClock, reply: Any, kind: type[JobError]
) -> None:
    """One request: the caller looks for the job before it tries again."""
    http = canned(bedrock, reply)
    with pytest.raises(kind) as caught:
        BatchJobs(bedrock, clock).create(REQUEST)
    assert len(http.sent) == 1
    assert clock.waits == []
    assert caught.value.job_name == plan().job_name


def test_a_throttled_create_is_retried_with_the_same_token(
    bedrock: Any, canned: Canned, clock: FakeClock
) -> None:
    """It surely created no job. If it did, the token makes both calls one job."""
    slow = aws_failure("ThrottlingException", 429, "slow", retry_after="9")
    http = canned(bedrock, slow, slow, (200, {"jobArn": ARN}))
    assert BatchJobs(bedrock, clock).create(REQUEST) == ARN
    bodies = {bytes(r.body) for r in http.sent}
    assert len(http.sent) == 3
    assert len(bodies) == 1
    assert plan().token.encode() in bodies.pop()
    assert all(9 <= w <= 30 for w in clock.waits)


def test_throttling_that_does_not_end_is_raised(
    bedrock: Any, canned: Canned, clock: FakeClock
) -> None:
    """After a bounded number of tries. The next step tries again."""
    canned(bedrock, *[aws_failure("ThrottlingException", 429)] * CONTROL_ATTEMPTS)
    with pytest.raises(JobThrottledError):
        BatchJobs(bedrock, clock).create(REQUEST)


def test_a_page_that_fails_is_retried(bedrock: Any, canned: Canned, clock: FakeClock) -> None:
    """Only this page, and not the listing from its beginning."""
    page = {"invocationJobSummaries": [], "nextToken": "t1"}
    http = canned(
        bedrock,
        (200, page),
        aws_failure("InternalServerException", 500),
        ReadTimeoutError(endpoint_url="https://x"),
        (200, {"invocationJobSummaries": []}),
    )
    BatchJobs(bedrock, clock).list("x")
    tokens = [parse_qs(urlsplit(r.url).query).get("nextToken") for r in http.sent]
    assert tokens == [None, ["t1"], ["t1"], ["t1"]]


def test_errors_of_listing_and_stopping_name_the_run_or_the_job(
    bedrock: Any, canned: Canned, clock: FakeClock
) -> None:
    """The name that was listed, or the ARN that was to stop."""
    denied = aws_failure("AccessDeniedException", 403)
    canned(bedrock, denied, denied)
    with pytest.raises(JobRejectedError, match="listing the batch jobs of tickets-abcdefgh: "):
        BatchJobs(bedrock, clock).list("tickets-abcdefgh")
    with pytest.raises(JobRejectedError, match=f"stopping {ARN}: "):
        BatchJobs(bedrock, clock).stop(ARN)


def test_a_job_is_found_by_its_arn(bedrock: Any, canned: Canned, clock: FakeClock) -> None:
    """Only a 404 says that there is no such job."""
    found = {
        **summary("x", "Completed", successRecordCount=3),
        "submitTime": "2026-11-01T00:00:00Z",
    }
    missing = aws_failure("ResourceNotFoundException", 404)
    http = canned(bedrock, (200, found), (500, {}), (200, {}), missing)
    jobs = BatchJobs(bedrock, clock)
    job = jobs.get(ARN)
    assert job is not None
    assert (job.job_arn, job.job_name, job.succeeded) == (ARN, "x", 3)
    assert jobs.get(ARN) is None
    assert "model-invocation-job" in str(http.sent[0].url)


def test_a_job_that_may_not_be_asked_for_is_no_missing_job(
    bedrock: Any, canned: Canned, clock: FakeClock
) -> None:
    """A caller without the permission learns nothing about the job."""
    canned(bedrock, aws_failure("AccessDeniedException", 403))
    with pytest.raises(JobRejectedError, match="AccessDeniedException"):
        BatchJobs(bedrock, clock).get(ARN)
