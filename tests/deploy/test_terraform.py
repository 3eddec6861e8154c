"""deploy/terraform: the policies against the code, and the module against moto's server.

What runs Terraform needs `terraform` on the PATH and a provider of AWS 5: from a mirror on disk (TF_PLUGIN_MIRROR, or
what Terraform's own TF_CLI_CONFIG_FILE names) or by the network; without them these tests are skipped and say so.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template
from typing import Any

import boto3
import botocore.session
import pytest
import requests
from botocore import xform_name
from botocore.exceptions import ClientError

from settings import ROOT, Settings

MODULE = ROOT / "deploy" / "terraform"
REGION = "eu-west-1"
BUCKET = "pictures-of-tests"
SERVICES = ("ec2", "iam", "kafka", "kinesisanalyticsv2", "logs", "s3", "sts")

# What the S3 file system of Flink calls for a sink: parts of a file, the file, and what a restart throws away.
SINK = {
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
}
# Operations of S3 whose right has another name.
S3_ACTIONS = {
    "DeleteObjects": "s3:DeleteObject",
    "HeadObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListObjects": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
}

Terraform = Callable[..., "subprocess.CompletedProcess[str]"]


def policy(name: str) -> list[dict[str, Any]]:
    """The statements of policies/NAME.json.tftpl, its values filled with their own names."""
    text = (MODULE / "policies" / f"{name}.json.tftpl").read_text(encoding="utf-8")
    values = {value: f"<{value}>" for value in re.findall(r"\$\{(\w+)\}", text)}
    statements: list[dict[str, Any]] = json.loads(Template(text).substitute(values))["Statement"]
    return statements


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def actions(statements: list[dict[str, Any]]) -> set[str]:
    return {action for statement in statements for action in listed(statement["Action"])}


def called(*patterns: str) -> set[str]:
    """The rights that the code in these files needs: each name of an operation of boto3 in it, written either way."""
    session = botocore.session.get_session()
    operations: dict[str, str] = {}
    for service in ("comprehend", "rekognition", "s3"):
        for operation in session.get_service_model(service).operation_names:
            right = S3_ACTIONS.get(operation, f"s3:{operation}") if service == "s3" else f"{service}:{operation}"
            operations |= {operation: right, xform_name(operation): right}
    files = [file for pattern in patterns for file in sorted(ROOT.glob(pattern))]
    assert files, f"there is no file {' or '.join(patterns)}"
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    rights = {operations[name] for name in names & operations.keys()}
    if "VersionId" in names:  # a version of an object is a right of its own
        rights |= {f"{right}Version" for right in rights & {"s3:GetObject", "s3:DeleteObject"}}
    return rights


@pytest.mark.parametrize(
    ("name", "code", "besides"),
    [
        ("flink", ["udfs/**/*.py", "jobs/background_check.py"], SINK),
        ("producer", ["producers/*instagram*.py", "producers/_pictures.py"], set()),
        ("forget", ["jobs/forget.py", "jobs/_forget*.py"], set()),
    ],
)
def test_a_policy_allows_what_the_code_calls_and_no_more(name: str, code: list[str], besides: set[str]) -> None:
    assert actions(policy(name)) == called(*code) | besides


@pytest.mark.parametrize("file", sorted(MODULE.glob("policies/*")), ids=lambda file: file.name.partition(".")[0])
def test_no_policy_is_wider_than_it_must_be(file: Path) -> None:
    without_resource = re.compile(r"comprehend:(Batch)?Detect|rekognition:DetectModerationLabels$|ec2:Describe")
    for statement in policy(file.name.partition(".")[0]):
        if statement["Effect"] == "Deny":
            continue
        assert not [action for action in listed(statement["Action"]) if "*" in action], statement["Sid"]
        if "*" in listed(statement["Resource"]):
            wide = [action for action in listed(statement["Action"]) if not without_resource.match(action)]
            assert not wide, f"{statement['Sid']}: AWS knows resources of these"
            assert statement["Condition"] == {"StringEquals": {"aws:RequestedRegion": "<region>"}}
        if {"s3:ListBucket", "s3:ListBucketVersions"} & set(listed(statement["Action"])):
            prefixes = statement["Condition"]["StringLike"]["s3:prefix"]
            assert all(prefix.startswith(("background", "images/")) for prefix in prefixes), statement["Sid"]


def test_defaults_are_those_of_the_settings() -> None:
    text = (MODULE / "variables.tf").read_text(encoding="utf-8")
    defaults = dict(re.findall(r'variable "(\w+)" \{[^}]*?\n  default +=\s+"?([^"\n]*)', text))
    fields = Settings.model_fields
    assert defaults["retention_days"] == str(fields["background_retention_days"].default)
    assert defaults["aws_region"] == fields["aws_region"].default


def binary() -> str:
    path = shutil.which("terraform")
    if not path:
        pytest.skip("There is no terraform on the PATH.")
    return path


def environment() -> dict[str, str]:
    """This process's environment without anything that could lead to a real account."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_", "TF_CLI_ARGS"))
    }
    return kept | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "AWS_EC2_METADATA_DISABLED": "true"}


def test_files_are_in_form() -> None:
    command = [binary(), "fmt", "-check", "-diff", "-recursive", str(MODULE)]
    formatted = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    assert formatted.returncode == 0, formatted.stdout + formatted.stderr


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a moto server, empty at first; a process of its own: within one, all servers share a state."""
    log = tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            until = time.monotonic() + 60
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text(encoding="utf-8"))):
                assert server.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < until, "moto did not start within 60 s"
                time.sleep(0.1)
            yield found[0]
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def terraform(moto: str, tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """`terraform("plan", …)` in a copy of the module whose provider knows no other AWS than moto."""
    program = binary()
    folder = tmp_path_factory.mktemp("terraform") / "module"
    shutil.copytree(MODULE, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars", "*.tfplan"))
    endpoints = "\n".join(f'    {service} = "{moto}"' for service in SERVICES)
    (folder / "moto_override.tf").write_text(
        f"""
terraform {{
  required_providers {{
    aws = {{
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }}
  }}
}}

provider "aws" {{
  access_key                  = "moto"
  secret_key                  = "moto"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true

  endpoints {{
{endpoints}
  }}
}}
""",
        encoding="utf-8",
    )
    (folder / "job.zip").write_bytes(b"a job")

    def run(command: str, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        options = ["-no-color"]
        if command in ("plan", "apply", "destroy"):
            values = {"bucket": BUCKET} | variables
            options += ["-input=false"]
            options += [f"-var={name}={v if isinstance(v, str) else json.dumps(v)}" for name, v in values.items()]
        return subprocess.run(
            [program, command, *options, *arguments],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )

    for source in [*([f"-plugin-dir={mirror}"] for mirror in plugin_mirrors()), []]:
        started = run("init", "-input=false", *source)
        if started.returncode == 0:
            return run
        assert "provider packages" in started.stderr, started.stderr
    pytest.skip(
        "Terraform finds no provider hashicorp/aws 5.100 or later of 5, neither by the network nor on this machine: set"
        " TF_PLUGIN_MIRROR to the folder of a mirror."
    )


def plugin_mirrors() -> list[Path]:
    """Folders of unpacked providers, as `terraform providers mirror` writes them: the one named, and usual ones."""
    named = os.environ.get("TF_PLUGIN_MIRROR")
    usual = [*Path("/opt").glob("*"), Path.home() / ".terraform.d/plugins", Path("/usr/local/share/terraform/plugins")]
    folders = [Path(named)] if named else usual
    return [folder for folder in folders if any(folder.glob("*/hashicorp/aws"))]


def test_the_module_is_valid(terraform: Terraform) -> None:
    checked = terraform("validate")
    assert checked.returncode == 0, checked.stderr


def test_wrong_variables_are_told_in_sentences(terraform: Terraform) -> None:
    refused = terraform(
        "plan",
        name="Crowd pulse",
        bucket="Not A Bucket",
        aws_region="Ireland",
        retention_days=0,
        trusted_principals={"forget": ["somebody"]},
        create_msk=True,
        msk_type="big",
        flink_code_zip="no.zip",
        flink_runtime="2.3",
        flink_parallelism=0,
    )
    told = " ".join(refused.stderr.replace("│", " ").split())
    assert refused.returncode == 1
    for sentence in (
        "name is 2 to 31 lower-case letters",
        "bucket is 3 to 63 lower-case letters",
        "aws_region is a region's code",
        "retention_days is a whole number of days from 1 to 3650",
        "trusted_principals holds ARNs",
        "create_msk needs subnet_ids",
        "msk_type is serverless or provisioned",
        "flink_code_zip is not a file",
        "flink_runtime is a runtime of Managed Flink",
        "flink_parallelism is from 1 to 64",
    ):
        assert sentence in told


def client(service: str, endpoint: str, **credentials: str) -> Any:
    keys = credentials or {"aws_access_key_id": "moto", "aws_secret_access_key": "moto"}
    return boto3.session.Session().client(service, endpoint_url=endpoint, region_name=REGION, **keys)


@pytest.mark.parametrize("kind", ["serverless", "provisioned"])
def test_kafka_and_flink_are_planned_where_they_are_wanted(terraform: Terraform, moto: str, kind: str) -> None:
    # moto can neither delete a Flink application nor tell a cluster's brokers: so these are planned, not made.
    subnets = [subnet["SubnetId"] for subnet in client("ec2", moto).describe_subnets()["Subnets"][:3]]
    planned = terraform(
        "plan",
        "-out=test.tfplan",
        create_msk=True,
        msk_type=kind,
        subnet_ids=subnets,
        create_flink_application=True,
        flink_code_zip="job.zip",
        flink_runtime="FLINK-1_20",
    )
    assert planned.returncode == 0, planned.stderr
    shown = json.loads(terraform("show", "-json", "test.tfplan").stdout)
    made = {part["address"]: part.get("values", {}) for part in shown["planned_values"]["root_module"]["resources"]}

    application = made["aws_kinesisanalyticsv2_application.flink[0]"]["application_configuration"][0]
    assert application["application_snapshot_configuration"] == [{"snapshots_enabled": False}]
    assert application["flink_application_configuration"][0]["checkpoint_configuration"][0]["checkpointing_enabled"]
    assert application["vpc_configuration"][0]["subnet_ids"] == sorted(subnets)
    clusters = {address for address in made if "cluster.kafka" in address}
    if kind == "serverless":
        assert clusters == {"aws_msk_serverless_cluster.kafka[0]"}
        cluster = made["aws_msk_serverless_cluster.kafka[0]"]
        assert cluster["client_authentication"][0]["sasl"][0]["iam"] == [{"enabled": True}]
    else:
        assert clusters == {"aws_msk_cluster.kafka[0]"}
        cluster = made["aws_msk_cluster.kafka[0]"]
        assert cluster["client_authentication"][0]["sasl"][0]["iam"] is True
        assert not cluster["client_authentication"][0]["unauthenticated"]
        assert cluster["encryption_info"][0]["encryption_in_transit"] == [{"client_broker": "TLS", "in_cluster": True}]
    roles = {address for address in made if address.startswith("aws_iam_role_policy_attachment.kafka")}
    assert len(roles) == 3
    ingress = made["aws_vpc_security_group_ingress_rule.kafka[0]"]
    assert (ingress["from_port"], ingress["to_port"], ingress["cidr_ipv4"]) == (9098, 9098, None)


def test_apply_changes_nothing_a_second_time_and_destroy_leaves_nothing(terraform: Terraform, moto: str) -> None:
    made = terraform("apply", "-auto-approve", retention_days=7)
    assert made.returncode == 0, made.stderr
    again = terraform("plan", "-detailed-exitcode", retention_days=7)
    assert again.returncode == 0, again.stdout + again.stderr

    s3, iam = client("s3", moto), client("iam", moto)
    assert_the_bucket_is_private(s3, retention_days=7)
    for name in ("flink", "producer", "forget"):
        arn = f"arn:aws:iam::123456789012:policy/crowdpulse-{name}"
        version = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
        assert actions(version["Statement"]) == actions(policy(name))
        attached = iam.list_attached_role_policies(RoleName=f"crowdpulse-{name}")["AttachedPolicies"]
        assert [each["PolicyArn"] for each in attached] == [arn]
    assert_the_settings_are_told(terraform)

    # moto knows no conditions of a bucket's policy: TlsOnly would refuse everything. It also shows that a plan sees it.
    s3.delete_bucket_policy(Bucket=BUCKET)
    drifted = terraform("plan", "-detailed-exitcode", retention_days=7)
    assert drifted.returncode == 2, drifted.stdout + drifted.stderr
    assert_each_role_does_its_own_work_only(moto)

    allowed = terraform(
        "apply", "-auto-approve", "-target=aws_s3_bucket.data", retention_days=7, delete_data_on_destroy=True
    )
    assert allowed.returncode == 0, allowed.stderr
    gone = terraform("destroy", "-auto-approve", retention_days=7, delete_data_on_destroy=True)
    assert gone.returncode == 0, gone.stderr
    assert s3.list_buckets()["Buckets"] == []
    assert iam.list_roles()["Roles"] == []
    assert iam.list_policies(Scope="Local")["Policies"] == []


def assert_the_bucket_is_private(s3: Any, retention_days: int) -> None:
    encryption = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in encryption] == ["AES256"]
    block = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert block == dict.fromkeys(
        ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
    )
    owner = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert "Status" not in s3.get_bucket_versioning(Bucket=BUCKET)
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Resource"] == [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    rules = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert {rule["Filter"].get("Prefix", ""): rule["Expiration"].get("Days") for rule in rules} == {
        "background/": retention_days,
        "images/": retention_days,
        "": None,
    }
    (leftovers,) = [rule for rule in rules if rule["ID"] == "leftovers"]
    assert leftovers["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": min(7, retention_days)}
    assert leftovers["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert leftovers["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    assert {rule["Status"] for rule in rules} == {"Enabled"}


def assert_the_settings_are_told(terraform: Terraform) -> None:
    """The output `env` names settings that there are, with values that they take."""
    lines = terraform("output", "-raw", "env").stdout.splitlines()
    values = {name.removeprefix("CROWDPULSE_").lower(): value for name, _, value in (s.partition("=") for s in lines)}
    assert values.keys() <= Settings.model_fields.keys()
    told = Settings(_env_file=None, **values)  # type: ignore[arg-type]
    assert (told.s3_bucket, told.aws_region, told.background_retention_days) == (BUCKET, REGION, 7)
    assert told.s3_endpoint == f"https://s3.{REGION}.amazonaws.com"


def assert_each_role_does_its_own_work_only(moto: str) -> None:
    """Each role is taken on, and moto asked to check rights: what a role needs works, the rest is refused."""

    def as_role(name: str) -> Any:
        role = f"arn:aws:iam::123456789012:role/crowdpulse-{name}"
        keys = client("sts", moto).assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return client(
            "s3",
            moto,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    producer, flink, forget = as_role("producer"), as_role("flink"), as_role("forget")
    picture, archive, other = "images/00/00.png", "background/checks/part-0", "code/job.zip"
    allowed: list[tuple[Any, str, dict[str, Any]]] = [
        (producer, "put_object", {"Key": picture, "Body": b"picture"}),
        (flink, "get_object", {"Key": picture}),
        (flink, "put_object", {"Key": archive, "Body": b"checks"}),
        (forget, "get_object", {"Key": archive}),
        (forget, "delete_object", {"Key": picture}),
    ]
    refused: list[tuple[Any, str, dict[str, Any]]] = [
        (producer, "get_object", {"Key": archive}),
        (producer, "delete_object", {"Key": picture}),
        (producer, "put_object", {"Key": archive, "Body": b"checks"}),
        (producer, "list_objects_v2", {}),
        (forget, "get_object", {"Key": picture}),
        (flink, "put_object", {"Key": picture, "Body": b"picture"}),
        (flink, "delete_object", {"Key": picture}),
        (flink, "put_object", {"Key": other, "Body": b"job"}),
        (forget, "put_object", {"Key": other, "Body": b"job"}),
        (forget, "delete_object", {"Key": other}),
    ]
    check_rights(moto, "0")
    try:
        for role, operation, arguments in allowed:
            getattr(role, operation)(Bucket=BUCKET, **arguments)
        for role, operation, arguments in refused:
            with pytest.raises(ClientError) as error:
                getattr(role, operation)(Bucket=BUCKET, **arguments)
            assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, (operation, arguments)
    finally:
        check_rights(moto, "inf")


def check_rights(moto: str, after: str) -> None:
    """Let moto check the rights of whoever calls, after so many calls."""
    requests.post(f"{moto}/moto-api/reset-auth", data=after, timeout=10).raise_for_status()
