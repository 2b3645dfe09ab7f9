"""Whom a role's trust policy lets assume it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.doctor.findings import Level
from bedrock_spark.doctor.policy_terms import matches
from bedrock_spark.doctor.trust import trust_findings

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service/BedrockBatch"
JOBS = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:model-invocation-job/*"
BEDROCK = {"Service": "bedrock.amazonaws.com"}


def statement(principal: Any = BEDROCK, effect: str = "Allow", **condition: Any) -> dict[str, Any]:
    own = {"Effect": effect, "Principal": principal, "Action": "sts:AssumeRole"}
    return {**own, "Condition": condition} if condition else own


OWN = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
# Each: the statements, and the levels of the findings for one Region.
CASES: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "as iam prints it": ([statement(**OWN, ArnLike={"aws:SourceArn": JOBS})], ["ok"]),
    "one of several services": (
        [statement({"Service": ["ec2.amazonaws.com", "bedrock.amazonaws.com"]}, **OWN)],
        ["ok"],
    ),
    "keys in another case": ([statement(StringEquals={"AWS:sourceAccount": [ACCOUNT]})], ["ok"]),
    "if it exists": ([statement(StringEqualsIfExists={"aws:SourceAccount": ACCOUNT})], ["ok"]),
    "a pattern": ([statement(StringLike={"aws:SourceArn": "arn:aws:bedrock:us-*"})], ["ok"]),
    "one statement of several": (
        [statement(StringEquals={"aws:SourceAccount": "9" * 12}), statement(**OWN)],
        ["ok"],
    ),
    "everybody's jobs": ([statement()], ["ok", "warning"]),
    "another service": ([statement({"Service": "ec2.amazonaws.com"})], ["error"]),
    "an account": ([statement({"AWS": ACCOUNT})], ["error"]),
    "no statement": ([], ["error"]),
    "another action": ([{**statement(), "Action": "sts:TagSession"}], ["error"]),
    "another account's jobs": (
        [statement(StringEquals={"aws:SourceAccount": "9" * 12})],
        ["error"],
    ),
    "another Region's jobs": (
        [statement(ArnLike={"aws:SourceArn": JOBS.replace("us-east-1", "eu-west-1")})],
        ["error"],
    ),
    "jobs of one name": (
        [statement(ArnEquals={"aws:SourceArn": JOBS.replace("*", "abc")})],
        ["error"],
    ),
    "a denial": ([statement(**OWN), statement(effect="Deny")], ["error"]),
    "a denial of others": (
        [
            statement(**OWN),
            statement(effect="Deny", StringNotEquals={"aws:SourceAccount": ACCOUNT}),
        ],
        ["ok"],
    ),
    "a condition on a date": (
        [statement(**OWN, DateLessThan={"aws:CurrentTime": "2030-01-01"})],
        ["not checked"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_trust_policy_means(name: str) -> None:
    statements, levels = CASES[name]
    policy = json.dumps({"Statement": statements})
    wanted = {"Statement": ["wanted"]}
    found = list(trust_findings(ROLE, policy, wanted, ["us-east-1"]))
    assert [finding.level for finding in found] == levels
    for finding in found:
        assert ROLE in finding.what
        if finding.level in (Level.ERROR, Level.WARNING):
            assert finding.fix == (
                "aws iam update-assume-role-policy --role-name BedrockBatch --policy-document "
                """'{"Statement": ["wanted"]}'"""
            )


def test_each_region_has_its_line() -> None:
    found = trust_findings(
        ROLE,
        {"Statement": statement(ArnLike={"aws:SourceArn": JOBS})},
        {},
        ["us-east-1", "us-west-2"],
    )
    assert [finding.level for finding in found] == ["ok", "error"]


@given(st.text("ab*?[].", max_size=8), st.text("ab[].", max_size=8))
def test_wildcards_are_those_of_iam(pattern: str, text: str) -> None:
    """`*` is any text, `?` any character, and every other character itself."""

    def slow(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return slow(pattern[1:], text) or (bool(text) and slow(pattern, text[1:]))
        return bool(text) and pattern[0] in ("?", text[0]) and slow(pattern[1:], text[1:])

    assert matches(pattern, text) == slow(pattern, text)
