"""Every request follows the model of the service, as botocore has it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import import_module
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator

from bedrock_spark.deploy.deployment import RUN
from tests.unit.deploy.kit import BY_NAME, CONFIGS, plan_of, texts_of

SESSION = botocore.session.get_session()


def check(service: str, operation: str, request: dict[str, Any]) -> None:
    """Validate a request, also the patterns, which botocore leaves to the service."""
    model = SESSION.get_service_model(service).operation_model(operation)
    # The AWS CLI makes up request tokens.
    tokens = dict.fromkeys(model.idempotent_members, "t")
    report = ParamValidator().validate({**tokens, **request}, model.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert model.input_shape is not None
    assert_patterns(model.input_shape, request, operation)


def assert_patterns(shape: Any, value: Any, place: str) -> None:
    if shape.type_name == "structure":
        for name, item in value.items():
            assert_patterns(shape.members[name], item, f"{place}.{name}")
    elif shape.type_name == "list":
        for item in value:
            assert_patterns(shape.member, item, place)
    elif shape.type_name == "map":
        for item in value.values():
            assert_patterns(shape.value, item, place)
    elif shape.type_name == "string":
        pattern, most = shape.metadata.get("pattern"), shape.metadata.get("max")
        # Java's classes of Unicode blocks, such as those of Glue, mean no control characters.
        if pattern is not None and "\\u" not in pattern and "\\p" not in pattern:
            assert re.fullmatch(pattern, value), (place, value)
        assert most is None or len(value) <= most, place
        assert not shape.enum or value in shape.enum, (place, value)


ON_A_CLUSTER = ["emr-serverless", "eks", "glue"]
FORMS = {
    "emr-serverless": ("emr-serverless", "StartJobRun"),
    "eks": ("emr-containers", "StartJobRun"),
    "glue": ("glue", "StartJobRun"),
}


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("target", ON_A_CLUSTER)
@pytest.mark.parametrize("flex", [False, True])
def test_requests_of_jobs(target: str, config: str, flex: bool) -> None:
    """One a stage, and one for the whole run. The script and the config that they name exist."""
    given = {"flex": True} if flex and target != "eks" else {}
    context, plan = plan_of(target, config, **given)
    texts = texts_of(plan)
    stages = [*context.deployment.stages, RUN]
    for stage in stages:
        check(*FORMS[target], json.loads(texts[f"{stage}.json"]))
        assert f"jobs/{stage}.py" in texts
        own = texts.get(f"create-{stage}.json", texts[f"{stage}.json"])
        assert context.deployment.script(stage) in own
        assert context.deployment.uri("config.yaml") in own
        assert ("FLEX" in own or "flexExecution" in own) is (
            bool(given) and stage not in (RUN, "fallback")
        )
        if target == "glue":
            job = json.loads(texts[f"create-{stage}.json"])
            check("glue", "CreateJob", job)
            assert job["Name"] == json.loads(texts[f"{stage}.json"])["JobName"]
    assert stages[0] == "prepare"
    assert (stages[-2] == "fallback") is ("fallback" in CONFIGS[config])


@pytest.mark.parametrize("config", CONFIGS)
def test_steps_of_emr(config: str) -> None:
    """The AWS CLI turns its form of a step into that of the service."""
    context, plan = plan_of("emr", config)
    texts = texts_of(plan)
    for stage in (*context.deployment.stages, RUN):
        (step,) = json.loads(texts[f"steps-{stage}.json"])
        assert step.pop("Type") == "CUSTOM_JAR"
        jar = {"Jar": step.pop("Jar"), "Args": step.pop("Args")}
        steps = [{**step, "HadoopJarStep": jar}]
        check("emr", "AddJobFlowSteps", {"JobFlowId": "j-2AXXXXXXGAPLF", "Steps": steps})
        assert jar["Args"][-3:] == [context.deployment.script(stage), *context.deployment.arguments]
        instances = {"InstanceGroups": json.loads(texts["instance-groups.json"])}
        for group in instances["InstanceGroups"]:
            group["InstanceRole"] = group.pop("InstanceGroupType")
        check("emr", "RunJobFlow", {"Name": "n", "Instances": instances, "Steps": steps})


@pytest.mark.parametrize(
    ("architecture", "name"), [("x86_64", "x86_64"), ("aarch64", "arm64")], ids=str
)
def test_the_function(architecture: str, name: str) -> None:
    """Its handler exists, and it has the processor of its wheels."""
    context, _ = plan_of("stepfunctions", "plain")
    deployment = replace(context.deployment, architecture=architecture)
    texts = texts_of(BY_NAME["stepfunctions"].make(replace(context, deployment=deployment)))
    function = json.loads(texts["function.json"])
    check("lambda", "CreateFunction", {**function, "Code": {"ZipFile": b"x"}})
    assert function["Architectures"] == [name]
    assert f"manylinux2014_{architecture}" in texts["build-function.sh"]
    module, _, handler = function["Handler"].rpartition(".")
    assert callable(getattr(import_module(module), handler))


@pytest.mark.parametrize("config", CONFIGS)
def test_applications_of_the_spark_operator(config: str) -> None:
    """Texts are texts: `spark.executor.cores: 4` would be a number."""
    context, plan = plan_of("eks", config)
    for stage in (*context.deployment.stages, RUN):
        spec = yaml.safe_load(texts_of(plan)[f"operator-{stage}.yaml"])["spec"]
        assert spec["mainApplicationFile"] == context.deployment.script(stage)
        assert spec["arguments"] == context.deployment.arguments
        assert all(isinstance(value, str) for value in spec["sparkConf"].values())


@pytest.mark.parametrize("target", BY_NAME)
def test_a_property_of_the_user_replaces_ours(target: str) -> None:
    """--spark-conf comes last, and once."""
    context, _ = plan_of(target, "tables")
    own = {"spark.executor.memory": "31g"}
    changed = replace(context, deployment=replace(context.deployment, spark=own))
    texts = "\n".join(texts_of(BY_NAME[target].make(changed)).values())
    assert "31g" in texts
    assert "spark.executor.memory=4g" not in texts
    assert "spark.executor.memory=5g" not in texts
