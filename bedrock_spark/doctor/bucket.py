"""The bucket of a run folder: its Region and owner, and what of its settings fails late."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedrock_spark.doctor.asking import ask
from bedrock_spark.doctor.bucket_policy import policy_findings
from bedrock_spark.doctor.findings import Finding, error, ok, warning
from bedrock_spark.doctor.lifecycle import deletes_old_versions, lifecycle_findings
from bedrock_spark.doctor.world import World
from bedrock_spark.permissions.place import Folder

_ABSENT = ("404", "NoSuchBucket")
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_KMS = ("aws:kms", "aws:kms:dsse")


@dataclass(frozen=True)
class UsedBucket:
    """A folder in a bucket, and the jobs that use it. owner: the account that the config names."""

    uri: str
    folder: Folder
    region: str
    owner: str | None = None

    @property
    def name(self) -> str:
        """Return the name of the bucket."""
        return self.folder.bucket


def buckets_of(world: World) -> list[UsedBucket]:
    """Return the buckets of the run folder and of targets, with the Region of their jobs."""
    config = world.config
    found = []
    home = Folder.of(config.run_uri)
    if home is not None:
        found.append(UsedBucket(config.run_uri, home, world.region, config.batch.bucket_owner))
    for target in config.targets:
        folder = Folder.of(target.uri)
        if target.uri is not None and folder is not None:
            found.append(
                UsedBucket(target.uri, folder, target.region or world.region, target.bucket_owner)
            )
    return found


def place_findings(world: World, bucket: UsedBucket) -> Iterator[Finding]:
    """Yield whether a bucket exists, in the Region of the jobs, and whose it is."""
    client, arn = world.client("s3"), f"arn:{world.partition}:s3:::{bucket.name}"
    head = ask(
        lambda: client.head_bucket(Bucket=bucket.name),
        *("s3:ListBucket", arn),
        absent=_ABSENT,
    )
    if head is None:
        yield error(
            f"bucket {bucket.name}: does not exist",
            f"aws s3 mb s3://{bucket.name} --region {bucket.region}",
        )
        return
    region = head.get("BucketRegion", bucket.region)
    if region == bucket.region:
        yield ok(f"bucket {bucket.name}: is in {region}, as its jobs")
    else:
        yield error(
            f"bucket {bucket.name}: is in {region}, and its jobs are in {bucket.region}; Bedrock "
            "reads only buckets of the job's Region",
            f"batch: {{region: {region}}}    # or a run_uri in a bucket of {bucket.region}",
        )
    yield from _owner(world, bucket, client, arn)


def _owner(world: World, bucket: UsedBucket, client: Any, arn: str) -> Iterator[Finding]:
    """Yield an error unless the bucket is of the account that each job names as its owner."""
    expected = bucket.owner or world.account
    own = ask(
        lambda: client.head_bucket(Bucket=bucket.name, ExpectedBucketOwner=expected),
        *("s3:ListBucket", arn),
        absent=("403", "AccessDenied"),
    )
    if own is not None:
        return
    fix = "batch: {bucket_owner: ACCOUNT-OF-THE-BUCKET}    # of a target: targets.bucket_owner"
    yield error(f"bucket {bucket.name}: does not belong to the account {expected}", fix)


def public_findings(world: World, bucket: UsedBucket) -> Iterator[Finding]:
    """Yield whether prompts and answers are safe from the public."""
    client, arn = world.client("s3"), f"arn:{world.partition}:s3:::{bucket.name}"
    block = ask(
        lambda: client.get_public_access_block(Bucket=bucket.name),
        *("s3:GetBucketPublicAccessBlock", arn),
        absent=("NoSuchPublicAccessBlockConfiguration",),
    )
    switches = (block or {}).get("PublicAccessBlockConfiguration", {})
    if all(switches.get(name) for name in _BLOCKS):
        yield ok(f"bucket {bucket.name}: blocks all public access")
        return
    off = ", ".join(name for name in _BLOCKS if not switches.get(name))
    yield warning(
        f"bucket {bucket.name}: does not block all public access ({off} is off, unless the "
        "account blocks it); the run folder has prompts and answers",
        f"aws s3api put-public-access-block --bucket {bucket.name} "
        f"--public-access-block-configuration {','.join(f'{name}=true' for name in _BLOCKS)}",
    )


def versioning_findings(world: World, bucket: UsedBucket) -> Iterator[Finding]:
    """Yield whether deleted objects stay, and are billed."""
    client, arn = world.client("s3"), f"arn:{world.partition}:s3:::{bucket.name}"
    reply = ask(
        lambda: client.get_bucket_versioning(Bucket=bucket.name), "s3:GetBucketVersioning", arn
    )
    if reply.get("Status") != "Enabled":
        yield ok(f"bucket {bucket.name}: keeps no old versions of objects")
    elif deletes_old_versions(_rules(world, bucket), bucket.folder.prefix):
        yield ok(f"bucket {bucket.name}: keeps old versions, and a lifecycle rule deletes them")
    else:
        rule = {
            "ID": "old-versions",
            "Status": "Enabled",
            "Filter": {"Prefix": bucket.folder.prefix},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
        }
        yield warning(
            f"bucket {bucket.name}: keeps old versions of objects for ever, so what a run deletes "
            "is billed on; add this lifecycle rule to those of the bucket",
            json.dumps(rule),
        )


def rule_findings(world: World, bucket: UsedBucket, now: float) -> Iterator[Finding]:
    """Yield the lifecycle rules that delete the files of a run early."""
    needed = math.ceil(world.config.batch.timeout_hours / 24) + 1
    rules = _rules(world, bucket)
    yield from lifecycle_findings(bucket.name, bucket.folder.prefix, rules, needed, now)


def _rules(world: World, bucket: UsedBucket) -> Sequence[Mapping[str, Any]]:
    client, arn = world.client("s3"), f"arn:{world.partition}:s3:::{bucket.name}"
    reply = ask(
        lambda: client.get_bucket_lifecycle_configuration(Bucket=bucket.name),
        *("s3:GetLifecycleConfiguration", arn),
        absent=("NoSuchLifecycleConfiguration",),
    )
    return [] if reply is None else list(reply["Rules"])


def statement_findings(world: World, bucket: UsedBucket) -> Iterator[Finding]:
    """Yield what the bucket's policy denies to the caller or to Bedrock."""
    client, arn = world.client("s3"), f"arn:{world.partition}:s3:::{bucket.name}"
    reply = ask(
        lambda: client.get_bucket_policy(Bucket=bucket.name),
        *("s3:GetBucketPolicy", arn),
        absent=("NoSuchBucketPolicy",),
    )
    policy = None if reply is None else reply["Policy"]
    has_vpc = world.config.batch.vpc is not None
    yield from policy_findings(
        bucket.name, policy, bucket.folder.objects(world.partition), has_vpc=has_vpc
    )


def default_key(world: World, bucket: UsedBucket) -> str | None:
    """Return the KMS key that encrypts new objects by default; None for S3's own keys."""
    client, arn = world.client("s3"), f"arn:{world.partition}:s3:::{bucket.name}"
    reply = ask(
        lambda: client.get_bucket_encryption(Bucket=bucket.name),
        *("s3:GetEncryptionConfiguration", arn),
        absent=("ServerSideEncryptionConfigurationNotFoundError",),
    )
    rules = (reply or {}).get("ServerSideEncryptionConfiguration", {}).get("Rules", ())
    for rule in rules:
        default = rule.get("ApplyServerSideEncryptionByDefault", {})
        if default.get("SSEAlgorithm") in _KMS:
            return str(default.get("KMSMasterKeyID", "alias/aws/s3"))
    return None
