"""Configs of several kinds, and what each target makes of them."""

from __future__ import annotations

from typing import Any

from bedrock_spark.check import check_config
from bedrock_spark.deploy import TARGETS, Context, Plan, Target, plan_deployment
from tests.models import NOVA
from tests.unit.fakes import PROVISIONED, config_values

S3_SOURCE = {"format": "parquet", "path": "s3://lake/tickets/", "key": ["id"]}
CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {"source": S3_SOURCE},
    "published": {
        "source": {"table": "support.tickets", "key": ["id"]},
        "results": {"path": "s3://lake/out put/", "mode": "append"},
        "fallback": {"model_id": NOVA},
    },
    "tables": {
        "source": {"format": "delta", "path": "s3://lake/tickets/", "key": ["id"]},
        "results": {"table": "lake.support.answers", "format": "iceberg", "mode": "merge"},
    },
    "asked_again": {
        "source": S3_SOURCE,
        "results": {"parse": {"columns": "label string", "retries": 2}},
    },
    "asked_again_and_fallback": {
        "source": S3_SOURCE,
        "results": {"parse": {"columns": "label string", "retries": 1}},
        "fallback": {"model_id": NOVA},
    },
    "provisioned": {
        "source": S3_SOURCE,
        "fallback": {"model_id": PROVISIONED},
        "request": {"prompt": "“Naïve”: {{ body }} $HOME `id`", "max_tokens": 40},
    },
    "secret": {
        "source": {
            "format": "jdbc",
            "options": {"url": "jdbc:postgresql://db/x", "password": {"env": "TICKETS_PASSWORD"}},
            "table": "t",
            "key": ["id"],
        }
    },
}
BY_NAME = {target.name: target for target in TARGETS}


def values_of(target: Target, **given: str) -> dict[str, Any]:
    """Return values of all options: the examples of those that are required, and the defaults."""
    values: dict[str, Any] = {}
    for option in target.options:
        default: object = False if option.is_flag else option.default
        values[option.key] = option.example if option.is_required else default
    return {**values, **given}


def plan_of(
    name: str, config: str | dict[str, Any], folder: str = "out", **given: Any
) -> tuple[Context, Plan]:
    """Return what a target writes for a config."""
    target = BY_NAME[name]
    sections = CONFIGS[config] if isinstance(config, str) else config
    checked = check_config(config_values("s3://bucket/runs/one-2026", **sections))
    deployment = plan_deployment(checked, has_file_system=target.has_file_system)
    context = Context(deployment, values_of(target, **given), folder, "tickets.yaml")
    return context, target.make(context)


def texts_of(plan: Plan) -> dict[str, str]:
    return {file.name: file.text for file in plan.files}
