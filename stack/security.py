"""The secured local stack: an authority, credentials of each role, and the rights of deploy/security.

`python -m stack up --secured` makes certificates and passwords at its first start, in `.stack/data/security`. Each role
has a user of Kafka, with the rights of deploy/security/kafka_acls.yaml, and but for the producers an API key of
Elasticsearch, with those of deploy/security/elasticsearch/ROLE.json. A process takes those of CROWDPULSE_ROLE. The
superuser, whom no program of ours is, sets up users and rights.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import yaml
from elasticsearch import ApiError, Elasticsearch, TransportError
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import NoError

from settings import ROOT, Role, credentials_file, settings
from stack import certificates, layout
from stack.errors import StackError

RIGHTS = ROOT / "deploy" / "security"
ROLES: tuple[Role, ...] = get_args(Role)
SUPERUSER = "superuser"  # sets up users and rights
BROKER = "broker"  # whom the broker is to itself
SERVERS = ("kafka", "elasticsearch")
APPLIED_SECONDS = 30  # for the broker to learn of rights that the controller has taken


def folder() -> Path:
    """Where certificates and credentials are: `ca.pem` is for everybody, the rest for this user only."""
    return layout.data_dir("security")


def _file() -> Path:
    return credentials_file(layout.state_dir())


@cache
def _credentials_of(file: Path, _changed: int) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
    return found


def credentials(who: str) -> dict[str, str]:
    """`kafka_password` and `elasticsearch_api_key` (the superuser: `elasticsearch_password`) of a role."""
    return _credentials_of(_file(), _file().stat().st_mtime_ns)[who]


def prepare() -> None:
    """Make authority, certificates and passwords, once. Raises StackError for a stack that was made the other way."""
    secured, made = settings().secured, _file().exists()
    if made and not secured:
        raise StackError(
            "This stack was made with `up --secured`: set CROWDPULSE_SECURED=1, or `python -m stack down --data` first."
        )
    if not secured or made:
        return
    if any(layout.data_dir(part).exists() for part in SERVERS):
        raise StackError(
            "This stack has data that was stored without security: `python -m stack down --data` deletes it, or set "
            "CROWDPULSE_STATE_DIR and CROWDPULSE_PORT_BASE for a second stack."
        )
    certificates.make(folder(), SERVERS)
    users = [*ROLES, SUPERUSER, BROKER]
    made_up = {user: {"kafka_password": secrets.token_urlsafe(24)} for user in users}
    made_up[SUPERUSER]["elasticsearch_password"] = secrets.token_urlsafe(24)
    _write(made_up)


def _write(all_credentials: dict[str, dict[str, str]]) -> None:
    certificates.write_secret(_file(), json.dumps(all_credentials, indent=1))
    settings.cache_clear()  # it has the credentials of this process's role


def role_of(module: str) -> Role:
    """Whose credentials `python -m MODULE` takes."""
    match module.split("."):
        case ["producers", *_]:
            return "producer"
        case ["services", "live_view"]:
            return "reader"
        case ["services", *_] | ["connectors", "kinesis_bridge"] | ["models", "monitor"]:
            return "service"
    return "admin"


def environment(role: Role) -> dict[str, str]:
    """The environment for a program of this role: this process's, which may name another role itself."""
    return dict(os.environ) if role == "admin" else {"CROWDPULSE_ROLE": role, **os.environ}


# --- Kafka ---


def login_line(user: str) -> str:
    """The line by which Kafka's own processes log in as `user`."""
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return f'{module} required username="{user}" password="{credentials(user)["kafka_password"]}";'


def format_arguments() -> list[str]:
    """Arguments of Kafka's StorageTool that make all users."""
    return [
        argument
        for user in (*ROLES, SUPERUSER, BROKER)
        for argument in (
            "--add-scram",
            f"SCRAM-SHA-512=[name={user},password={credentials(user)['kafka_password']}]",
        )
    ]


def acls(prefix: str) -> Iterator[tuple[Role, str, str, bool, str]]:
    """What deploy/security/kafka_acls.yaml allows under a prefix: role, resource type, name, whether all names that
    begin so are meant, operation."""
    table = yaml.safe_load((RIGHTS / "kafka_acls.yaml").read_text(encoding="utf-8"))
    for role, types in table.items():
        for resource_type, names in types.items():
            for name, operations in names.items():
                for operation in operations:
                    yield role, resource_type, prefix + name.removesuffix("*"), name.endswith("*"), operation


_Right = tuple[str, ACLOperation, ResourceType, str, ACLResourcePatternType]  # who, what, on what


def _patterns(prefix: str) -> Iterator[_Right]:
    for role, resource_type, name, begins_so, operation in acls(prefix):
        yield (
            f"User:{role}",
            # Kafka's names have no underscores where Python's have: AlterConfigs is ALTER_CONFIGS.
            ACLOperation["".join(f"_{c}" if c.isupper() else c for c in operation).strip("_").upper()],
            ResourceType[resource_type.upper()],
            name or "*",
            ACLResourcePatternType.PREFIXED if begins_so and name else ACLResourcePatternType.LITERAL,
        )


def allow(admin: KafkaAdminClient, prefix: str) -> None:
    """Give each role its rights on topics, groups and transactions under a prefix; on return the broker goes by them.

    `admin` is the superuser's. Raises StackError with Kafka's reason.
    """
    wanted = [
        ACL(user, "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name, pattern))
        for user, operation, kind, name, pattern in _patterns(prefix)
    ]
    failed = admin.create_acls(wanted)["failed"]
    if failed:
        raise StackError(f"Kafka does not take the rights of deploy/security: {failed[0]}")
    given = set(_patterns(prefix))
    _wait_until(lambda: given <= _rights(admin), "gives")


def disallow(admin: KafkaAdminClient, prefix: str) -> None:
    """Take back what `allow` gave under a prefix; on return the broker refuses.

    Raises StackError with Kafka's reason.
    """
    unwanted = [
        ACLFilter(user, "*", operation, ACLPermissionType.ALLOW, ResourcePatternFilter(kind, name, pattern))
        for user, operation, kind, name, pattern in _patterns(prefix)
    ]
    for _filter, _acls, error in admin.delete_acls(unwanted):
        if error is not NoError:
            raise StackError(f"Kafka does not take back the rights under {prefix}: {error}")
    taken = set(_patterns(prefix))
    _wait_until(lambda: not taken & _rights(admin), "takes back")


def _rights(admin: KafkaAdminClient) -> set[_Right]:
    """The rights that the broker goes by."""
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    found, _error = admin.describe_acls(ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, anything))
    return {
        (
            one.principal,
            one.operation,
            one.resource_pattern.resource_type,
            one.resource_pattern.resource_name,
            one.resource_pattern.pattern_type,
        )
        for one in found
    }


def _wait_until(applied: Callable[[], bool], does: str) -> None:
    # The controller answers; the broker, which grants and refuses, learns of it up to a second later.
    deadline = time.monotonic() + APPLIED_SECONDS
    while not applied():
        if time.monotonic() > deadline:
            raise StackError(f"Kafka {does} the rights of deploy/security, but its broker does not go by it yet.")
        time.sleep(0.1)


# --- Elasticsearch ---


def users_files() -> dict[str, str]:
    """The files of Elasticsearch's configuration that let the superuser in."""
    salt = secrets.token_bytes(32)
    password = credentials(SUPERUSER)["elasticsearch_password"].encode()
    derived = hashlib.pbkdf2_hmac("sha512", password, salt, 10_000, dklen=32)
    hashed = "{PBKDF2}10000$" + "$".join(base64.b64encode(part).decode() for part in (salt, derived))
    return {"users": f"{SUPERUSER}:{hashed}\n", "users_roles": f"superuser:{SUPERUSER}\n", "roles.yml": ""}


def elasticsearch_role(role: Role) -> dict[str, Any] | None:
    """The rights of a role in Elasticsearch: its file, on indices with and without prefix. None: it has none there."""
    file = RIGHTS / "elasticsearch" / f"{role}.json"
    if not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for entry in found["indices"]:
        # A prefix of the settings ends in a dot: tests have theirs, and all of them belong to this stack.
        entry["names"] += [f"*.{name}" for name in entry["names"]]
    return found


def elasticsearch_superuser() -> tuple[str, str]:
    """User and password of whom may do everything in Elasticsearch."""
    return SUPERUSER, credentials(SUPERUSER)["elasticsearch_password"]


def put_roles(url: str) -> list[str]:
    """Put the roles of deploy/security into Elasticsearch, and make or bring up to date the API key of each.

    Returns the roles. Raises StackError with Elasticsearch's reason.
    """
    kept = {who: dict(credentials(who)) for who in (*ROLES, SUPERUSER, BROKER)}
    put = []
    try:
        with Elasticsearch(
            url, basic_auth=elasticsearch_superuser(), ca_certs=str(folder() / "ca.pem"), request_timeout=60
        ) as client:
            for role in ROLES:
                rights = elasticsearch_role(role)
                if rights is None:
                    continue
                name = f"crowdpulse_{role}"
                client.security.put_role(name=name, **rights)
                descriptors = {name: {"cluster": rights["cluster"], "indices": rights["indices"]}}
                if "elasticsearch_api_key" in kept[role]:
                    identity = base64.b64decode(kept[role]["elasticsearch_api_key"]).decode().partition(":")[0]
                    client.security.update_api_key(id=identity, role_descriptors=descriptors)
                else:
                    made = client.security.create_api_key(name=name, role_descriptors=descriptors)
                    kept[role]["elasticsearch_api_key"] = made["encoded"]
                put.append(name)
    except (ApiError, TransportError) as error:
        raise StackError(f"Elasticsearch does not take the roles of deploy/security: {error}") from error
    _write(kept)
    return put
