"""Lifecycle rules, bucket policies, key policies, quotas and keys of rows, from replies of AWS."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from bedrock_spark.aws.service_quotas import BatchQuotas, batch_quotas_among
from bedrock_spark.doctor.bucket_policy import policy_findings
from bedrock_spark.doctor.key import key_policy_findings
from bedrock_spark.doctor.lifecycle import deletes_old_versions, lifecycle_findings
from bedrock_spark.doctor.on_spark import key_finding
from bedrock_spark.doctor.quotas import findings_of
from tests.unit.fakes import make_config

NOW = 1_800_000_000.0
IN_3_DAYS = dt.datetime.fromtimestamp(NOW, dt.UTC) + dt.timedelta(days=3)
RULES: dict[str, tuple[dict[str, Any], str]] = {
    "of the folder": ({"Filter": {"Prefix": "runs/one/"}, "Expiration": {"Days": 2}}, "error"),
    "of all": ({"Filter": {}, "Expiration": {"Days": 2}}, "error"),
    "in the old form": ({"Prefix": "runs/", "Expiration": {"Days": 2}}, "error"),
    "of a part of the folder": (
        {"Filter": {"Prefix": "runs/one/output/"}, "Expiration": {"Days": 1}},
        "error",
    ),
    "by prefix and size": (
        {
            "Filter": {"And": {"Prefix": "runs/", "ObjectSizeGreaterThan": 1}},
            "Expiration": {"Days": 1},
        },
        "error",
    ),
    "to an archive": (
        {"Filter": {}, "Transitions": [{"Days": 1, "StorageClass": "DEEP_ARCHIVE"}]},
        "error",
    ),
    "on a date": ({"Filter": {}, "Expiration": {"Date": IN_3_DAYS}}, "warning"),
    "later": ({"Filter": {}, "Expiration": {"Days": 30}}, "warning"),
    "much later": ({"Filter": {}, "Expiration": {"Days": 31}}, "ok"),
    "of another folder": ({"Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 1}}, "ok"),
    "of objects with a tag": (
        {"Filter": {"Tag": {"Key": "a", "Value": "b"}}, "Expiration": {"Days": 1}},
        "ok",
    ),
    "of uploads": (
        {"Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
        "ok",
    ),
    "of old versions": ({"Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}, "ok"),
    "of markers": ({"Filter": {}, "Expiration": {"ExpiredObjectDeleteMarker": True}}, "ok"),
    "to a cheaper class": (
        {"Filter": {}, "Transitions": [{"Days": 0, "StorageClass": "STANDARD_IA"}]},
        "ok",
    ),
    "off": ({"Status": "Disabled", "Filter": {}, "Expiration": {"Days": 1}}, "ok"),
}


@pytest.mark.parametrize("name", RULES)
def test_a_lifecycle_rule_that_ends_files_of_a_run(name: str) -> None:
    rule, level = RULES[name]
    rules = [{"ID": "r", "Status": "Enabled", **rule}]
    (found,) = lifecycle_findings("b", "runs/one/", rules, 2, NOW)
    assert found.level == level


TIDY = {"Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 7}}


@pytest.mark.parametrize(
    ("rule", "deletes"),
    [
        ({"Filter": {}}, True),
        ({"Filter": {"Prefix": "runs/"}}, True),
        ({"Prefix": "runs/one/"}, True),
        ({"Filter": {}, "Status": "Disabled"}, False),
        ({"Filter": {"Prefix": "runs/one/output/"}}, False),
        ({"Filter": {"Prefix": "logs/"}}, False),
        ({"Filter": {"Tag": {"Key": "a", "Value": "b"}}}, False),
        ({"Filter": {"And": {"Prefix": "runs/", "ObjectSizeGreaterThan": 1}}}, False),
    ],
)
def test_old_versions_are_deleted_by_a_rule_about_the_whole_folder(
    rule: dict[str, Any], deletes: bool
) -> None:
    assert deletes_old_versions([{"Expiration": {"Days": 1}}, {**TIDY, **rule}], "runs/one/") == (
        deletes
    )


OBJECTS = "arn:aws:s3:::b/runs/one/*"
DENIALS: dict[str, tuple[dict[str, Any], bool, str]] = {
    "all to all": ({}, False, "error"),
    "to all in the long form": ({"Principal": {"AWS": "*"}}, False, "error"),
    "to one": ({"Principal": {"AWS": "arn:aws:iam::1:user/a"}}, False, "warning"),
    "but by HTTPS": ({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}, False, "ok"),
    "but from a VPC": (
        {"Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}},
        False,
        "warning",
    ),
    "without encryption": (
        {"Condition": {"Null": {"s3:x-amz-server-side-encryption": "true"}}},
        False,
        "warning",
    ),
    "another folder": ({"Resource": "arn:aws:s3:::b/logs/*"}, False, "ok"),
    "a part of the folder": ({"Resource": "arn:aws:s3:::b/runs/one/output/*"}, False, "error"),
    "all but the folder": ({"NotResource": OBJECTS}, False, "ok"),
    "all but another": ({"NotResource": "arn:aws:s3:::b/logs/*"}, False, "error"),
    "another action": ({"Action": "s3:PutBucketPolicy"}, False, "ok"),
    "all but reading": ({"Action": None, "NotAction": "s3:GetObject"}, False, "error"),
    "an allowance": ({"Effect": "Allow"}, False, "ok"),
}


@pytest.mark.parametrize("name", DENIALS)
def test_a_statement_that_denies_what_a_run_does(name: str) -> None:
    changes, has_vpc, level = DENIALS[name]
    whole = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::b/*"}
    statement = {k: v for k, v in {**whole, **changes}.items() if v is not None}
    policy = json.dumps({"Statement": statement})
    (found,) = policy_findings("b", policy, OBJECTS, has_vpc=has_vpc)
    assert found.level == level
    assert (found.fix is None) == (level == "ok")


ROLE = "arn:aws:iam::123456789012:role/Batch"
KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "the account": ({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, "ok"),
    "the account by its id": ({"Principal": {"AWS": "123456789012"}}, "ok"),
    "the role": ({"Principal": {"AWS": [ROLE]}}, "ok"),
    "both actions by name": (
        {"Principal": {"AWS": ROLE}, "Action": ["kms:decrypt", "kms:GenerateDataKey*"]},
        "ok",
    ),
    "another account": ({"Principal": {"AWS": "arn:aws:iam::999999999999:root"}}, "error"),
    "the role with its path": (
        {"Principal": {"AWS": "arn:aws:iam::123456789012:role/team/Batch"}},
        "ok",
    ),
    "another role": ({"Principal": {"AWS": f"{ROLE}2"}}, "error"),
    "only to read": ({"Principal": {"AWS": ROLE}, "Action": "kms:Decrypt"}, "error"),
    "a denial": ({"Effect": "Deny", "Principal": {"AWS": ROLE}}, "error"),
}


@pytest.mark.parametrize("name", KEYS)
def test_whom_the_policy_of_a_key_lets_in(name: str) -> None:
    changes, level = KEYS[name]
    statement = {"Effect": "Allow", "Action": "kms:*", "Resource": "*", **changes}
    policy = json.dumps({"Statement": [statement]})
    session = "arn:aws:sts::123456789012:assumed-role/Batch/ana"
    found = list(key_policy_findings("key", "arn", policy, [ROLE, session]))
    assert [f.level for f in found] == [level, level]
    assert all(ROLE in f.what for f in found)


LEAST = "Minimum number of records per batch inference job for {}"
MOST = "Records per input file per batch inference job for {}"
JOBS = "Sum of in-progress and submitted batch inference jobs using a base model for {}"
NOVA = "amazon.nova-lite-v1:0"


def quotas(least: float = 100, most: float = 50_000, jobs: float = 20) -> list[tuple[str, float]]:
    values = {LEAST: least, MOST: most, JOBS: jobs, MOST.replace("input file per ", ""): 1}
    return [
        (name.format(model), value)
        for name, value in values.items()
        for model in ("Nova Lite", "Nova")
    ]


def test_the_quotas_of_a_model_are_read_by_their_names() -> None:
    assert batch_quotas_among(quotas(), NOVA) == BatchQuotas(100, 50_000, 20)
    assert batch_quotas_among(quotas(), "meta.llama4-scout-17b-instruct-v1:0").is_empty


@pytest.mark.parametrize(
    ("own", "shards", "jobs", "levels"),
    [
        (quotas(), {}, None, ["ok"]),
        (quotas(least=200), {}, None, ["error"]),
        (quotas(most=10_000), {}, None, ["error"]),
        (quotas(most=10_000), {"max_records": 10_000}, None, ["ok"]),
        (quotas(least=200, most=10_000), {}, 21, ["error", "error", "warning"]),
        (quotas(), {}, 20, ["ok"]),
        ([], {}, None, ["warning"]),
    ],
)
def test_what_the_quotas_refuse_of_a_config(
    own: Any, shards: dict[str, Any], jobs: int | None, levels: list[str]
) -> None:
    whole = {"min_records": 100, "max_records": 50_000, **shards}
    config = make_config(model={"id": NOVA}, shards=whole)
    found = findings_of(own, config, NOVA, "us-east-1", jobs)
    assert [f.level for f in found] == levels


class Sample:
    def __init__(self, rows: int, repeated: int = 0, nulls: int = 0) -> None:
        self.rows, self.repeated, self.nulls = rows, repeated, nulls


@pytest.mark.parametrize(
    ("sample", "on_duplicate", "level", "said"),
    [
        (None, "error", "ok", "is not set"),
        (Sample(0), "error", "warning", "no row"),
        (Sample(9), "error", "ok", "is unique in 9 rows"),
        (Sample(9, repeated=2), "error", "error", "2 of 9 rows repeat a key"),
        (Sample(9, repeated=2), "first", "warning", "the first row of each key is asked"),
        (Sample(9, nulls=1), "error", "warning", "is null in 1 of 9 rows"),
    ],
)
def test_what_a_sample_of_keys_says(sample: Any, on_duplicate: str, level: str, said: str) -> None:
    found = key_finding(("id",), sample, on_duplicate=on_duplicate)
    assert (found.level, said in found.what) == (level, True)
