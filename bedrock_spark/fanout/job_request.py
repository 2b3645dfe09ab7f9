"""The arguments of CreateModelInvocationJob for one attempt.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateModelInvocationJob.html
"""

from __future__ import annotations

from typing import Any

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.config import Config
from bedrock_spark.families import invocation_of
from bedrock_spark.run_folder.job_plan import JobPlan

_INVOCATION_TYPES = {"invoke_model": "InvokeModel", "converse": "Converse"}


def create_request(
    config: Config,
    run_uri: str,
    plan: JobPlan,
    model_id: str | None = None,
    role_arn: str | None = None,
    bucket_owner: str | None = None,
) -> dict[str, Any]:
    """Return the arguments of CreateModelInvocationJob for one attempt.

    run_uri: the URI of the run folder; the job reads and writes below it
    model_id, role_arn: those of the target, if it has its own; None for those of the config
    bucket_owner: the account of the bucket, if it is not that of the caller
    """
    batch = config.batch
    owner = {} if bucket_owner is None else {"s3BucketOwner": bucket_owner}
    output: dict[str, Any] = {"s3Uri": join_uri(run_uri, plan.output_prefix), **owner}
    if batch.kms_key_id is not None:
        output["s3EncryptionKeyId"] = batch.kms_key_id
    request: dict[str, Any] = {
        "jobName": plan.job_name,
        "clientRequestToken": plan.token,
        "roleArn": role_arn or batch.role_arn,
        "modelId": model_id or config.model.id,
        "modelInvocationType": _INVOCATION_TYPES[invocation_of(config)],
        "inputDataConfig": {
            "s3InputDataConfig": {
                "s3InputFormat": "JSONL",
                "s3Uri": join_uri(run_uri, plan.input_key),
                **owner,
            }
        },
        "outputDataConfig": {"s3OutputDataConfig": output},
        "timeoutDurationInHours": batch.timeout_hours,
    }
    if batch.tags:
        request["tags"] = [{"key": k, "value": v} for k, v in sorted(batch.tags.items())]
    if batch.vpc is not None:
        request["vpcConfig"] = {
            "subnetIds": list(batch.vpc.subnet_ids),
            "securityGroupIds": list(batch.vpc.security_group_ids),
        }
    return request
