"""The policies of a config: who runs it, who runs Spark, and the role that Bedrock assumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.request_body import body_template
from bedrock_spark.permissions.formats import Policies
from bedrock_spark.permissions.place import Folder, Place, run_folders
from bedrock_spark.permissions.statement import Statement, policy, united
from bedrock_spark.prices.named_models import batch_model_ids

_SERVICE = "bedrock.amazonaws.com"
_CALLS = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
_KMS = ("kms:Decrypt", "kms:GenerateDataKey")
_READ = ("s3:GetObject",)
_FILES = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
_WRITE = (
    *("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
    *("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
)
# A call is checked on the project of the account, too (docs/iam.md).
_PROJECT = "project/*"


def policies_of(config: Config, region: str | None = None) -> Policies:
    """Return the least policies for a config, for its own account, Regions, folders and models.

    region: of the environment, if the config names none
    Raises ConfigError if the config names no Region, or no run folder in S3.
    """
    return policies_of_all([config], region)


def policies_of_all(
    configs: Sequence[Config], region: str | None = None, folder: str | None = None
) -> Policies:
    """Return the least policies for several runs, such as the stages of a config, together.

    folder: of the stages, in which their report is
    Raises as `policies_of`, and ConfigError if they name several service roles.
    """
    roles = list(dict.fromkeys(config.batch.role_arn for config in configs))
    if len(roles) > 1:
        raise ConfigError(
            f"batch.role_arn: the stages name {' and '.join(roles)}: print the policies of each "
            "stage by --stage"
        )
    places = [(config, Place.of(config, region)) for config in configs]

    above = Folder.of(folder)

    def caller(config: Config, place: Place) -> Iterator[Statement]:
        yield from _caller(config, place)
        if above is not None:
            yield Statement("RunFolder", _FILES, [above.objects(place.partition)])
        elif config.origin.stage is not None and config.budget.max_cost_usd is not None:
            yield from _other_stages(config, place)

    def together(make: Callable[[Config, Place], Iterable[Statement]]) -> dict[str, Any]:
        return policy(united(s for config, place in places for s in make(config, place)))

    return Policies(
        role_arn=roles[0],
        caller=together(caller),
        spark=together(_spark),
        trust=together(lambda _, place: [_trust(place)]),
        service_role=together(_service_role),
    )


def _caller(config: Config, place: Place) -> Iterator[Statement]:
    """Yield what the process needs that runs `bedrock-spark`, and each Spark task."""
    partition, folders = place.partition, run_folders(config)
    jobs = place.in_regions("model-invocation-job/*")
    models = place.models(batch_model_ids(config))
    models += place.in_regions("application-inference-profile/*") if _has_profile(config) else []
    yield Statement("StartJobs", ["bedrock:CreateModelInvocationJob"], [*jobs, *models])
    watch = ["bedrock:GetModelInvocationJob", "bedrock:StopModelInvocationJob"]
    yield Statement("WatchJobs", watch, jobs)
    lists = [
        *("bedrock:ListModelInvocationJobs", "bedrock:ListInferenceProfiles"),
        "bedrock:GetFoundationModelAvailability",
        *(["bedrock:ListProvisionedModelThroughputs"] if _buys(config) else []),
    ]
    # IAM knows no resource for these actions, only the Region.
    in_regions = {"StringEquals": {"aws:RequestedRegion": list(place.regions)}}
    yield Statement("Lists", lists, ["*"], in_regions)
    roles = [config.batch.role_arn, *(t.role_arn for t in config.targets if t.role_arn)]
    passed = {"StringEquals": {"iam:PassedToService": _SERVICE}}
    yield Statement("PassTheServiceRole", ["iam:PassRole"], roles, passed)
    yield Statement("RunFolder", _FILES, [f.objects(partition) for f in folders])
    # No condition on the prefix: else S3 answers 403, not 404, if an object does not exist.
    listing = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    yield Statement("BucketOfTheRunFolder", listing, [f.bucket_arn(partition) for f in folders])
    source = Folder.of(config.source.run)
    if source is not None:
        yield Statement("SourceRun", _READ, [source.objects(partition)])
        yield Statement("BucketOfTheSourceRun", ["s3:ListBucket"], [source.bucket_arn(partition)])
    yield from _answers(config, partition)
    yield from _models(config, place)
    yield from _optional(config, place)


def _other_stages(config: Config, place: Place) -> Iterator[Statement]:
    """Yield what one stage needs to know what the others leave of the budget."""
    stages = Folder.of(config.run_uri.rpartition("/")[0])
    if stages is not None:
        yield Statement("OtherStages", _READ, [stages.objects(place.partition)])


def _answers(config: Config, partition: str) -> Iterator[Statement]:
    """Yield what the store of answers needs. Only a compaction deletes there, if it may."""
    answers = config.answers
    store = Folder.of(answers.uri) if answers is not None and answers.is_on else None
    if answers is None or store is None:
        return
    adds = ["s3:PutObject", "s3:AbortMultipartUpload"] if answers.is_written else []
    yield Statement("Answers", [*_READ, *adds], [store.objects(partition)])
    yield Statement("BucketOfTheAnswers", ["s3:ListBucket"], [store.bucket_arn(partition)])


def _models(config: Config, place: Place) -> Iterator[Statement]:
    called = [config.canary.model_id or config.model.id] if config.canary.records else []
    if config.fallback is not None:
        called.append(config.fallback.model_id)
    if called:
        arns = [*place.models(called), *place.in_regions(_PROJECT)]
        if _buys(config):
            arns += place.in_regions("provisioned-model/*")
        yield Statement("CanaryAndFallback", _CALLS, arns)
    yield Statement("CountTokens", ["bedrock:CountTokens"], _foundation_of(config, place))
    describe = ["bedrock:GetFoundationModel", "bedrock:GetInferenceProfile"]
    describe += ["bedrock:GetCustomModel", "bedrock:GetProvisionedModelThroughput"]
    kinds = ("inference-profile", "application-inference-profile", "custom-model")
    arns = [f"arn:{place.partition}:bedrock:*::foundation-model/*"]
    arns += [a for kind in (*kinds, "provisioned-model") for a in place.in_regions(f"{kind}/*")]
    yield Statement("DescribeModels", describe, arns)


def _foundation_of(config: Config, place: Place) -> list[str]:
    arns = place.models([config.model.id])
    return [arn for arn in arns if ":foundation-model/" in arn] or [
        f"arn:{place.partition}:bedrock:*::foundation-model/*"
    ]


def _optional(config: Config, place: Place) -> Iterator[Statement]:
    """Yield what only some configs need."""
    batch, fallback = config.batch, config.fallback
    slots = [t.max_active_jobs for t in config.targets] or [batch.max_active_jobs]
    if None in slots:
        yield Statement("NumberOfSlots", ["servicequotas:ListServiceQuotas"], ["*"])
    buys, has_profile = _buys(config), _has_profile(config)
    if batch.tags or has_profile or buys:
        tagged = place.in_regions("model-invocation-job/*")
        tagged += place.in_regions("provisioned-model/*") if buys else []
        tagged += place.in_regions("application-inference-profile/*") if batch.cost_profile else []
        yield Statement("Tags", ["bedrock:TagResource"], tagged)
    if has_profile:
        actions = ["bedrock:CreateInferenceProfile", "bedrock:DeleteInferenceProfile"]
        arns = place.in_regions("application-inference-profile/*")
        yield Statement("CostProfile", actions, [*arns, *place.models(batch_model_ids(config))])
    if fallback is not None and buys:
        actions = [f"bedrock:{do}ProvisionedModelThroughput" for do in ("Create", "Delete")]
        arns = [*place.in_regions("provisioned-model/*"), *place.models([fallback.model_id])]
        yield Statement("BuyModelUnits", [*actions, "bedrock:ListTagsForResource"], arns)
    if fallback is not None and fallback.guardrail is not None:
        yield Statement("Guardrail", ["bedrock:ApplyGuardrail"], place.in_regions("guardrail/*"))
    if config.events.queue_url is not None:
        actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage"]
        yield Statement("EventQueue", actions, [_queue_arn(config.events.queue_url, place)])
    topic = config.notify.sns_topic_arn
    if topic is not None:
        yield Statement("Notification", ["sns:Publish"], [topic])
    if body_template(config).media:
        # Rows name the objects: no config can say in which buckets they are.
        arn = f"arn:{place.partition}:s3:::BUCKET-OF-IMAGES/*"
        yield Statement("ImagesAndDocuments", _READ, [arn])
    if batch.kms_key_id is not None:
        yield Statement("EncryptedBucket", _KMS, [_key_arn(batch.kms_key_id, place)])


def _spark(config: Config, place: Place) -> Iterator[Statement]:
    """Yield what Spark needs beside that: the source and the place of the results, if in S3."""
    source, results = Folder.of(config.source.path), Folder.of(config.results.path)
    partition = place.partition
    if source is not None:
        file = f"{source.bucket_arn(partition)}/{source.prefix.rstrip('/')}"
        yield Statement("Source", _READ, [source.objects(partition), file])
        yield Statement("BucketOfTheSource", ["s3:ListBucket"], [source.bucket_arn(partition)])
    if results is not None:
        yield Statement("Results", _WRITE, [results.objects(partition)])
        yield Statement("BucketOfTheResults", ["s3:ListBucket"], [results.bucket_arn(partition)])
    yield from _copy_of_answers(config, partition)


def _copy_of_answers(config: Config, partition: str) -> Iterator[Statement]:
    """Yield what Spark needs to copy the store of answers into a table at a path in S3."""
    answers = config.answers
    copy = Folder.of(answers.table_path) if answers is not None and answers.has_copy else None
    if copy is not None:
        yield Statement("TableOfAnswers", _WRITE, [copy.objects(partition)])
        yield Statement("BucketOfTheTable", ["s3:ListBucket"], [copy.bucket_arn(partition)])


def _trust(place: Place) -> Statement:
    jobs = place.in_regions("model-invocation-job/*")
    condition: dict[str, dict[str, Any]] = {
        "StringEquals": {"aws:SourceAccount": place.account},
        "ArnLike": {"aws:SourceArn": jobs[0] if len(jobs) == 1 else jobs},
    }
    sid = "OnlyBatchJobsOfThisAccount"
    return Statement(sid, ["sts:AssumeRole"], condition=condition, service=_SERVICE)


def _service_role(config: Config, place: Place) -> Iterator[Statement]:
    partition, folders = place.partition, run_folders(config)
    files = ["s3:GetObject", "s3:PutObject"]
    yield Statement("RunFolder", files, [f.objects(partition) for f in folders])
    buckets = [f.bucket_arn(partition) for f in folders]
    yield Statement("BucketOfTheRunFolder", ["s3:ListBucket"], buckets)
    arns = [*place.models(batch_model_ids(config)), *place.in_regions(_PROJECT)]
    if _has_profile(config):
        arns += place.in_regions("application-inference-profile/*")
    yield Statement("Model", ["bedrock:InvokeModel"], arns)
    if config.batch.kms_key_id is not None:
        yield Statement("EncryptedBucket", _KMS, [_key_arn(config.batch.kms_key_id, place)])


def _buys(config: Config) -> bool:
    return config.fallback is not None and config.fallback.create is not None


def _has_profile(config: Config) -> bool:
    return config.batch.cost_profile


def _queue_arn(url: str, place: Place) -> str:
    """Return the ARN of a queue, whose URL ends in account and name."""
    account, name = url.rstrip("/").split("/")[-2:]
    return f"arn:{place.partition}:sqs:{place.regions[0]}:{account}:{name}"


def _key_arn(key: str, place: Place) -> str:
    if key.startswith("arn:"):
        return key
    return f"arn:{place.partition}:kms:{place.regions[0]}:{place.account}:key/{key}"
