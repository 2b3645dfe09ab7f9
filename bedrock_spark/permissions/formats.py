"""Policies as JSON, Terraform or CloudFormation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NAMES = ("caller", "spark", "trust", "service_role")


@dataclass(frozen=True)
class Policies:
    """The policies of a config.

    role_arn: of the service role, which `trust` and `service_role` are for
    caller: of whoever runs `bedrock-spark`, and of each Spark task
    spark: beside that, of the cluster, for source and results; it may have no statement
    """

    role_arn: str
    caller: dict[str, Any]
    spark: dict[str, Any]
    trust: dict[str, Any]
    service_role: dict[str, Any]

    @property
    def role_name(self) -> str:
        """Return the name of the service role, without its path."""
        return self.role_arn.rsplit("/", 1)[-1]

    def named(self) -> Mapping[str, dict[str, Any]]:
        """Return the policies that have a statement, by name."""
        every = {name: getattr(self, name) for name in NAMES}
        return {name: policy for name, policy in every.items() if policy["Statement"]}


def as_json(policies: Policies) -> str:
    """Return one JSON object, each policy under its name."""
    return json.dumps(policies.named(), indent=2)


def as_cloudformation(policies: Policies) -> str:
    """Return a template in JSON: the role, and managed policies for caller and Spark."""
    resources: dict[str, Any] = {
        "ServiceRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": policies.role_name,
                "AssumeRolePolicyDocument": policies.trust,
                "Policies": [
                    {"PolicyName": "BatchInference", "PolicyDocument": policies.service_role}
                ],
            },
        }
    }
    for name, title in (("caller", "CallerPolicy"), ("spark", "SparkPolicy")):
        policy = policies.named().get(name)
        if policy is not None:
            resources[title] = {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {"PolicyDocument": policy},
            }
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
    return json.dumps(template, indent=2)


def as_terraform(policies: Policies) -> str:
    """Return a configuration in Terraform's JSON syntax, for a file such as iam.tf.json.

    https://developer.hashicorp.com/terraform/language/syntax/json
    """
    managed = {
        name: {"name": f"{policies.role_name}-{name}", "policy": _escaped(policy)}
        for name, policy in policies.named().items()
        if name in ("caller", "spark")
    }
    resource = {
        "aws_iam_role": {
            "service_role": {
                "name": policies.role_name,
                "assume_role_policy": _escaped(policies.trust),
            }
        },
        "aws_iam_role_policy": {
            "service_role": {
                "name": "BatchInference",
                "role": "${aws_iam_role.service_role.id}",
                "policy": _escaped(policies.service_role),
            }
        },
        "aws_iam_policy": managed,
    }
    return json.dumps({"resource": resource}, indent=2)


def _escaped(policy: Mapping[str, Any]) -> str:
    """Return a policy as text in which Terraform finds no template."""
    return json.dumps(policy).replace("${", "$${").replace("%{", "%%{")


FORMATS: Mapping[str, Callable[[Policies], str]] = {
    "json": as_json,
    "terraform": as_terraform,
    "cloudformation": as_cloudformation,
}
