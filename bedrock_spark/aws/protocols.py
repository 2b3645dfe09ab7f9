"""The boto3 clients as types: only the methods that this package calls.

boto3 builds the classes of its clients at run time, so they have no types of their own. Replies
stay dictionaries. The names of parameters are AWS's.
"""

# ruff: noqa: N803

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

Reply: TypeAlias = dict[str, Any]


class Paginator(Protocol):
    """Reads a listing page by page."""

    def paginate(self, **request: Any) -> Iterable[Reply]:
        """Yield the pages."""
        ...


class BedrockExceptions(Protocol):
    """The error classes that boto3 makes for the Bedrock client."""

    @property
    def ResourceNotFoundException(self) -> type[Exception]:  # noqa: N802
        """The class of this error code."""
        ...


class BedrockClient(Protocol):
    """Bedrock's control plane: batch jobs, models and provisioned throughput."""

    @property
    def exceptions(self) -> BedrockExceptions:
        """The error classes of this client."""
        ...

    def create_model_invocation_job(self, **request: Any) -> Reply:
        """Create a batch job."""
        ...

    def get_model_invocation_job(self, *, jobIdentifier: str) -> Reply:
        """Describe a batch job."""
        ...

    def list_model_invocation_jobs(self, **request: Any) -> Reply:
        """Return one page of batch jobs."""
        ...

    def stop_model_invocation_job(self, *, jobIdentifier: str) -> Reply:
        """Ask a batch job to stop."""
        ...

    def get_inference_profile(self, *, inferenceProfileIdentifier: str) -> Reply:
        """Describe an inference profile."""
        ...

    def get_foundation_model(self, *, modelIdentifier: str) -> Reply:
        """Describe a foundation model."""
        ...

    def get_foundation_model_availability(self, *, modelId: str) -> Reply:
        """Say whether the account may use a foundation model."""
        ...

    def create_inference_profile(self, **request: Any) -> Reply:
        """Create an application inference profile."""
        ...

    def delete_inference_profile(self, *, inferenceProfileIdentifier: str) -> Reply:
        """Delete an application inference profile."""
        ...

    def list_foundation_models(self, **request: Any) -> Reply:
        """Return all foundation models of the Region."""
        ...

    def get_custom_model(self, *, modelIdentifier: str) -> Reply:
        """Describe a custom model."""
        ...

    def get_provisioned_model_throughput(self, *, provisionedModelId: str) -> Reply:
        """Describe a provisioned throughput."""
        ...

    def create_provisioned_model_throughput(self, **request: Any) -> Reply:
        """Buy a provisioned throughput."""
        ...

    def delete_provisioned_model_throughput(self, *, provisionedModelId: str) -> Reply:
        """Delete a provisioned throughput."""
        ...

    def list_tags_for_resource(self, *, resourceARN: str) -> Reply:
        """Return the tags of a resource."""
        ...

    def get_paginator(self, operation_name: str, /) -> Paginator:
        """Return the paginator of an operation."""
        ...


class RuntimeClient(Protocol):
    """Bedrock Runtime: calls to models."""

    @property
    def meta(self) -> Any:
        """What botocore knows of the client, such as its service model."""
        ...

    def invoke_model(self, *, modelId: str, body: bytes, **options: Any) -> Reply:
        """Send a body in the model's own format."""
        ...

    def invoke_model_with_response_stream(
        self, *, modelId: str, body: bytes, **options: Any
    ) -> Reply:
        """Send a body in the model's own format; the answer is a stream."""
        ...

    def count_tokens(self, *, modelId: str, input: dict[str, Any]) -> Reply:  # noqa: A002
        """Count the input tokens of a request."""
        ...

    def converse(self, **request: Any) -> Reply:
        """Send a conversation."""
        ...

    def converse_stream(self, **request: Any) -> Reply:
        """Send a conversation; the answer is a stream."""
        ...


class S3Client(Protocol):
    """Amazon S3."""

    @property
    def meta(self) -> Any:
        """What botocore knows of the client, such as its config."""
        ...

    def get_object(self, *, Bucket: str, Key: str, Range: str = ...) -> Reply:
        """Read an object or a range of its bytes."""
        ...

    def head_object(self, *, Bucket: str, Key: str) -> Reply:
        """Describe an object."""
        ...

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: bytes,
        ContentType: str = ...,
        Metadata: dict[str, str] = ...,
        IfMatch: str = ...,
        IfNoneMatch: str = ...,
    ) -> Reply:
        """Write an object, on a condition if one is given."""
        ...

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> Reply:
        """Delete at most 1,000 objects."""
        ...

    def create_multipart_upload(
        self, *, Bucket: str, Key: str, ChecksumAlgorithm: str = ...
    ) -> Reply:
        """Begin an object that is uploaded in parts."""
        ...

    def upload_part(
        self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes
    ) -> Reply:
        """Upload one part."""
        ...

    def complete_multipart_upload(
        self, *, Bucket: str, Key: str, UploadId: str, MultipartUpload: dict[str, Any]
    ) -> Reply:
        """Make an object of its parts."""
        ...

    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> Reply:
        """Delete the parts of an upload that was not completed."""
        ...

    def upload_file(self, Filename: str, Bucket: str, Key: str) -> None:
        """Write a file as an object, as a multipart upload if it is large."""
        ...

    def copy(
        self, CopySource: dict[str, str], Bucket: str, Key: str, *, SourceClient: S3Client
    ) -> None:
        """Copy an object, as a multipart copy if it is large."""
        ...

    def get_paginator(self, operation_name: str, /) -> Paginator:
        """Return the paginator of an operation."""
        ...


class QueueClient(Protocol):
    """Amazon SQS."""

    def receive_message(
        self, *, QueueUrl: str, MaxNumberOfMessages: int, WaitTimeSeconds: int
    ) -> Reply:
        """Wait for messages."""
        ...

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> Any:
        """Delete a message."""
        ...


class TopicClient(Protocol):
    """Amazon SNS."""

    def publish(self, **request: str) -> Any:
        """Publish a message to a topic."""
        ...


class StsClient(Protocol):
    """AWS Security Token Service."""

    def get_caller_identity(self) -> Reply:
        """Return the account of the credentials."""
        ...


class QuotasClient(Protocol):
    """Service Quotas."""

    def get_paginator(self, operation_name: str, /) -> Paginator:
        """Return the paginator of an operation."""
        ...
