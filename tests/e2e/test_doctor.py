"""Every kind of fault in the world around a config, and the line that `doctor` prints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from bedrock_emulator import LocalBedrock
from bedrock_spark.aws.clients import AwsSettings, quick_client
from bedrock_spark.cli import main
from bedrock_spark.doctor import Diagnosis, Level, diagnose
from bedrock_spark.errors import ExitCode
from tests.command_lines import calls_in, parse
from tests.e2e.simulated_policies import SimulatedPolicies
from tests.forked_emulator import BedrockServer, ForkedBedrock
from tests.models import CLAUDE, CLAUDE_MODEL
from tests.modules import ROOT

ACCOUNT, BUCKET, FOLDER = "123456789012", "my-bucket", "runs/tickets-2026-11"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/BedrockBatch"
PROVISIONED = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:provisioned-model/abcdefabcdef"
CONFIG: dict[str, Any] = {
    "run_uri": f"s3://{BUCKET}/{FOLDER}",
    "source": {"format": "parquet", "path": "s3://lake/tickets/", "key": ["ticket_id"]},
    "model": {"id": CLAUDE},
    "request": {"prompt": "Classify this ticket: {{ body }}", "max_tokens": 256},
    "batch": {"role_arn": ROLE, "region": "us-east-1"},
}
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def trust(**condition: Any) -> str:
    """Return a trust policy for Bedrock with these conditions."""
    own: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": "bedrock.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": condition,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [own]})


OWN_ACCOUNT = trust(StringEquals={"aws:SourceAccount": ACCOUNT})


@dataclass
class Healthy:
    """A world in which nothing is wrong, to break one thing of it."""

    local: LocalBedrock
    config: dict[str, Any]
    policies: SimulatedPolicies = field(default_factory=SimulatedPolicies)

    def make(self) -> None:
        """Make the bucket and the role."""
        s3 = self.local.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        blocks = dict.fromkeys(BLOCKS, True)
        s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=blocks)
        self.local.client("iam").create_role(
            RoleName="BedrockBatch", AssumeRolePolicyDocument=OWN_ACCOUNT
        )

    def diagnosis(self, folder: Path) -> Diagnosis:
        """Return what `doctor --no-spark` finds."""
        iam = quick_client("iam", AwsSettings("us-east-1", self.local.endpoint_url))
        with self.policies.of(iam):
            return diagnose(str(self.write(folder)))

    def write(self, folder: Path) -> Path:
        """Write the config into a folder."""
        path = folder / "tickets.yaml"
        path.write_text(yaml.safe_dump({**self.config, "endpoint_url": self.local.endpoint_url}))
        return path


@pytest.fixture(scope="module")
def emulator(bedrock_server: BedrockServer) -> Iterator[LocalBedrock]:
    local = ForkedBedrock(bedrock_server, faults=None, speed=1.0, seed=11)
    local.start()
    yield local
    local.stop()


@pytest.fixture
def world(emulator: LocalBedrock, monkeypatch: pytest.MonkeyPatch) -> Healthy:
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    emulator.reset()
    healthy = Healthy(emulator, json.loads(json.dumps(CONFIG)))
    healthy.make()
    return healthy


def bad_lines(found: Diagnosis) -> list[str]:
    """Return the lines that are not ok: subject, level, what, fix."""
    return [
        f"{group.subject}: {one.level}: {one.what} -> {one.fix}"
        for group in found.groups
        for one in group.findings
        if one.level != Level.OK
    ]


def test_a_healthy_world_has_only_lines_that_are_ok(world: Healthy, tmp_path: Path) -> None:
    """And the folder is as it was."""
    found = world.diagnosis(tmp_path)
    assert bad_lines(found) == []
    subjects = [group.subject for group in found.groups]
    assert subjects == [
        *("config", "account", "models", "quotas", "role", "permissions"),
        *("run folder", "bucket", "encryption", "disk"),
    ]
    assert "KeyCount" in (seen := world.local.client("s3").list_objects_v2(Bucket=BUCKET))
    assert seen["KeyCount"] == 0
    assert not {"InvokeModel", "Converse", "CreateModelInvocationJob"} & set(world.local.requests())
    assert ROLE in world.policies.asked


Break = Callable[[Healthy], object]


def role_with(document: str) -> Break:
    def do(world: Healthy) -> None:
        world.local.client("iam").update_assume_role_policy(
            RoleName="BedrockBatch", PolicyDocument=document
        )

    return do


def lifecycle(**rule: Any) -> Break:
    whole = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": "runs/"}, **rule}

    def do(world: Healthy) -> None:
        world.local.client("s3").put_bucket_lifecycle_configuration(
            Bucket=BUCKET, LifecycleConfiguration={"Rules": [whole]}
        )

    return do


def bucket_policy(**statement: Any) -> Break:
    whole = {
        "Sid": "No",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
        **statement,
    }

    def do(world: Healthy) -> None:
        world.local.client("s3").put_bucket_policy(
            Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [whole]})
        )

    return do


def config_with(section: str, **values: Any) -> Break:
    return lambda world: world.config.update({section: {**world.config.get(section, {}), **values}})


def faults(**script: Any) -> Break:
    return lambda world: world.local.set_faults(script)


def policies(*denied: str, **options: Any) -> Break:
    return lambda world: setattr(world, "policies", SimulatedPolicies(denied, **options))


def in_another_region(world: Healthy) -> None:
    s3 = world.local.client("s3")
    s3.create_bucket(
        Bucket="bucket-in-europe",
        CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
    )
    blocks = dict.fromkeys(BLOCKS, True)
    s3.put_public_access_block(Bucket="bucket-in-europe", PublicAccessBlockConfiguration=blocks)
    world.config["run_uri"] = "s3://bucket-in-europe/runs/one"


def versions_kept(world: Healthy) -> None:
    world.local.client("s3").put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
    )


def own_key(world: Healthy, policy: dict[str, Any] | None = None) -> str:
    """Encrypt the bucket by a new KMS key; return its ARN."""
    kms = world.local.client("kms")
    options = {} if policy is None else {"Policy": json.dumps(policy)}
    arn: str = kms.create_key(**options)["KeyMetadata"]["Arn"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn}
    world.local.client("s3").put_bucket_encryption(
        Bucket=BUCKET,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": default}]
        },
    )
    return arn


def disabled_key(world: Healthy) -> None:
    world.local.client("kms").disable_key(KeyId=own_key(world).rsplit("/", 1)[-1])


def ending_key(world: Healthy) -> None:
    key_id = own_key(world).rsplit("/", 1)[-1]
    world.local.client("kms").schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)


def key_of_others(world: Healthy) -> None:
    statement = {
        "Effect": "Allow",
        "Action": "kms:*",
        "Resource": "*",
        "Principal": {"AWS": f"arn:aws:sts::{ACCOUNT}:user/moto"},
    }
    own_key(world, {"Version": "2012-10-17", "Statement": [statement]})


def run_of_others(world: Healthy) -> None:
    run = json.dumps({"format": 1, "run_id": "one-abc", "config": {"run_uri": "s3://b/other"}})
    world.local.client("s3").put_object(Bucket=BUCKET, Key=f"{FOLDER}/run.json", Body=run)
    world.local.client("s3").put_object(Bucket=BUCKET, Key=f"{FOLDER}/manifest.json", Body="{}")


def failed_units(world: Healthy) -> None:
    world.config["fallback"] = {"model_id": PROVISIONED}


# Each: what is broken, and the lines that are not ok, as a pattern each.
CASES: dict[str, tuple[Break, list[str]]] = {
    "no bucket": (
        lambda world: world.config.update(run_uri="s3://no-such-bucket/runs/one"),
        [
            r"run folder: error: run folder s3://no-such-bucket/runs/one: cannot write an object",
            r"bucket: error: bucket no-such-bucket: does not exist -> aws s3 mb s3://no-such-bucket"
            r" --region us-east-1",
        ],
    ),
    "bucket in another Region": (
        in_another_region,
        [
            r"bucket: error: bucket bucket-in-europe: is in eu-west-1, and its jobs are in "
            r"us-east-1; .* -> batch: {region: eu-west-1}"
        ],
    ),
    "public bucket": (
        lambda world: world.local.client("s3").delete_public_access_block(Bucket=BUCKET),
        [r"bucket: warning: bucket my-bucket: does not block all public access .* -> aws s3"],
    ),
    "lifecycle rule that deletes within 2 days": (
        lifecycle(Expiration={"Days": 2}),
        [
            r"bucket: error: bucket my-bucket: its lifecycle rule 'tidy' deletes objects of the run"
            r" folder after 2 days, and a run may need them for more than 2 days.* -> run_uri: "
        ],
    ),
    "lifecycle rule that deletes within a fortnight": (
        lifecycle(Expiration={"Days": 14}),
        [r"bucket: warning: .*'tidy' deletes objects of the run folder after 14 days: collect"],
    ),
    "lifecycle rule that archives": (
        lifecycle(Transitions=[{"Days": 1, "StorageClass": "GLACIER"}]),
        [r"bucket: error: .* moves objects of the run folder to GLACIER after 1 days"],
    ),
    "bucket policy that denies all": (
        bucket_policy(),
        [
            r"run folder: error: .*: cannot write an object: .* -> {\"Effect\": \"Allow\"",
            r"bucket: error: .* statement 'No' of its policy denies s3:GetObject, .* to everybody",
        ],
    ),
    "bucket policy for a VPC only": (
        bucket_policy(Condition={"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}),
        [
            r"run folder: error: .*: cannot write an object",  # moto ignores the condition
            r"bucket: warning: .* by where a request comes from \(aws:sourcevpce\)",
        ],
    ),
    "old versions": (
        versions_kept,
        [r"bucket: warning: .* keeps old versions of objects for ever"],
    ),
    "no role": (
        lambda world: world.local.client("iam").delete_role(RoleName="BedrockBatch"),
        [rf"role: error: role {ROLE}: does not exist -> bedrock-spark iam .* cloudformation"],
    ),
    "role without trust": (
        role_with(OWN_ACCOUNT.replace("bedrock", "ec2")),
        [
            rf"role: error: role {ROLE}: does not trust bedrock.amazonaws.com, so no job starts -> "
            r"aws iam update-assume-role-policy --role-name BedrockBatch --policy-document '{"
        ],
    ),
    "role that trusts jobs of another account": (
        role_with(trust(StringEquals={"aws:SourceAccount": "999999999999"})),
        [r"role: error: .*aws:SourceAccount, aws:SourceArn\) exclude jobs of 123456789012 in us-"],
    ),
    "role that trusts everybody": (
        role_with(trust()),
        [r"role: warning: .* Bedrock may use it for other accounts -> aws iam update-assume"],
    ),
    "role that may not read": (
        policies("s3:GetObject"),
        [
            rf"permissions: error: service role {ROLE}: may not s3:GetObject on arn:aws:s3:::my-"
            r"bucket/runs/tickets-2026-11/\* \(no policy allows it\) -> "
            r'{"Effect": "Allow", "Action": \["s3:GetObject"\], "Resource": '
            r'\["arn:aws:s3:::my-bucket/runs/tickets-2026-11/\*"\]',
        ],
    ),
    "calls that the organization denies": (
        policies("bedrock:CreateModelInvocationJob", by="organization"),
        [r"permissions: error: caller .* may not bedrock:Cre.*\(a policy of the organization\)"],
    ),
    "calls that the boundary denies": (
        policies("iam:PassRole", by="boundary"),
        [r"permissions: error: caller .* may not iam:PassRole .*\(the permissions boundary\)"],
    ),
    "calls that a run can do without": (
        policies("bedrock:CountTokens"),
        [r"permissions: warning: caller .* may not bedrock:CountTokens .* a run goes on without"],
    ),
    "no simulation": (
        policies(is_refused=True),
        [
            r"permissions: not checked: the permissions of the role .*: needs "
            r'iam:SimulatePrincipalPolicy on arn:aws:iam.* -> {"Effect": "Allow", "Action": '
            r'\["iam:SimulatePrincipalPolicy"\]',
            r"permissions: not checked: the permissions of the caller: needs iam:Simulate",
        ],
    ),
    "disabled key": (
        disabled_key,
        [r"encryption: error: key arn:.* is Disabled -> aws kms enable-key --key-id arn:"],
    ),
    "key that is being deleted": (
        ending_key,
        [r"encryption: error: key arn:.* is PendingDeletion -> aws kms cancel-key-deletion"],
    ),
    "key that the role may not use": (
        key_of_others,
        [
            rf"encryption: error: key arn:.* does not let {ROLE} kms:Decrypt, kms:GenerateDataKey "
            rf'-> {{"Principal": {{"AWS": "{ROLE}"}}, "Effect": "Allow", "Action": \["kms:Decrypt"'
        ],
    ),
    "no such key": (
        config_with("batch", kms_key_id="12345678-1234-1234-1234-123456789012"),
        [r"encryption: error: key 12345678-.*batch.kms_key_id\): does not exist in us-east-1"],
    ),
    "model that has ended": (
        faults(models={CLAUDE_MODEL: {"ends_in_days": -1}}),
        [r"models: error: model.id = .* has ended this model on .* -> model: {id: "],
    ),
    "model that ends soon": (
        faults(models={CLAUDE_MODEL: {"legacy_in_days": -1, "ends_in_days": 40}}),
        [r"models: warning: model.id = .* is marked Legacy, ends on .* in 4[01] days"],
    ),
    "model without access": (
        faults(models={CLAUDE_MODEL: {"entitlement": "NOT_AVAILABLE"}}),
        [
            r"models: error: model.id = .*the account has no access to it.* -> https://us-east-1.con",
            *(
                rf"models: error: model.id = .* in us-{region}, one of its Regions, the account has"
                for region in ("east-1", "east-2", "west-2")
            ),
        ],
    ),
    "no such model": (
        config_with("model", id="acme.newest-v9:0", family="anthropic"),
        [
            r"models: error: model.id = 'acme.newest-v9:0': us-east-1 has no such model",
            r"quotas: warning: batch jobs of acme.newest-v9:0 in us-east-1: Service",
        ],
    ),
    "a model that takes calls through profiles only": (
        lambda world: (
            world.config["model"].update(id=CLAUDE_MODEL),
            world.local.set_faults({"behaviour": {"profile_only": "refuse"}}),
        ),
        [
            r"models: error: model.id = .*: takes single calls through an inference .* only -> "
            rf'canary: {{model_id: "(global|us)\.{CLAUDE_MODEL}"}}'
        ],
    ),
    "jobs that are too small": (
        config_with("shards", min_records=10),
        [r"quotas: error: .* need at least 100 records, .* -> shards: {min_records: 100}"],
    ),
    "jobs that are too large": (
        faults(quotas={"max_records": 20_000}),
        [r"quotas: error: .* take at most 20,000 records, .* -> shards: {max_records: 20000}"],
    ),
    "more jobs than the account may have": (
        config_with("batch", max_active_jobs=50),
        [r"quotas: warning: .* at most 20 may be active, .* is 50 -> batch: {max_active_jobs: 20}"],
    ),
    "units that do not exist": (
        failed_units,
        [r"models: error: fallback.model_id = .*: does not exist -> aws bedrock list-provisioned"],
    ),
    "a run of another config": (
        run_of_others,
        [r"run folder: error: .*my-bucket/runs/tickets-2026-11"],
    ),
    "a folder that is not in S3": (
        lambda world: world.config.update(run_uri="/tmp/doctor-runs/one"),
        [r"run folder: error: .* is not in S3, so batch jobs cannot read it -> run_uri: s3://"],
    ),
    "another account": (
        lambda world: world.config["batch"].update(role_arn=ROLE.replace(ACCOUNT, "9" * 12)),
        [r"account: error: credentials: .* is of the account 123456789012, and .* of 9"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_fault_has_its_line(name: str, world: Healthy, tmp_path: Path) -> None:
    """And a correction to paste. Nothing else is wrong."""
    breaks, patterns = CASES[name]
    breaks(world)
    lines = bad_lines(world.diagnosis(tmp_path))
    assert len(lines) == len(patterns), lines
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.match(pattern, line), line
        if "-> bedrock-spark " in line:
            assert [parse(call) for call in calls_in(line.split(" -> ")[1])]


def test_a_probe_that_is_refused_ends_no_other(
    world: Healthy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A throttled or failing service is a line for each question."""
    world.local.set_faults({"operations": {"GetFoundationModel": {"error_rate": 1.0}}})
    lines = bad_lines(world.diagnosis(tmp_path))
    assert lines
    assert all(line.startswith("models: not checked: model.id") for line in lines)


def test_the_local_bedrock_says_what_it_does_not_have(world: Healthy, tmp_path: Path) -> None:
    """The command as a user calls it: the exit code, the lines, and one JSON object."""
    path = world.write(tmp_path)
    result = CliRunner().invoke(main, ["doctor", str(path), "--no-spark"])
    assert result.exit_code == ExitCode.DONE, result.output
    assert "  not checked  the permissions of the caller: not supported here: " in result.stdout
    assert result.stdout.endswith("tickets.yaml: 2 not checked\n")
    world.local.client("iam").delete_role(RoleName="BedrockBatch")
    result = CliRunner().invoke(main, ["doctor", str(path), "--no-spark", "--json"])
    assert result.exit_code == ExitCode.FAILED
    values = json.loads(result.stdout)
    assert (values["errors"], values["error"]["exit_code"]) == (1, 1)
    assert values["groups"][4]["findings"][0]["level"] == "error"


def broken_as_in_the_docs(world: Healthy) -> None:
    """Make the faults of the example in docs/doctor.md."""
    lifecycle(Expiration={"Days": 2})(world)
    config_with("shards", min_records=10)(world)
    world.policies = SimulatedPolicies(["s3:PutObject"])


def test_the_output_in_the_docs_is_real(
    world: Healthy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same faults; only the free space is another."""
    broken_as_in_the_docs(world)
    world.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    iam = quick_client("iam", AwsSettings("us-east-1", world.local.endpoint_url))
    with world.policies.of(iam):
        result = CliRunner().invoke(main, ["doctor", "tickets.yaml", "--no-spark"])
    assert result.exit_code == ExitCode.FAILED
    printed = f"{result.stdout}{result.stderr}".splitlines()
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    block = re.search(
        r"^bedrock-spark doctor tickets.yaml --no-spark\n```\n```text\n(.*?)^```", page, re.M | re.S
    )
    assert block is not None
    shown = block[1].splitlines()
    is_disk = re.compile(r"  ok           this machine: \S+ has [\d,.]+ GB free")
    assert [s for s in shown if not is_disk.fullmatch(s)] == [
        p for p in printed if not is_disk.fullmatch(p)
    ]
