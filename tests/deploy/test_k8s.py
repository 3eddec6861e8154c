"""deploy/k8s: each overlay built by Kustomize, its objects against their schemas, and against the code.

Kustomize is `kustomize` or `kubectl` of the PATH, else built from its Go module. The schemas of Kubernetes' own kinds
are those of the package kubernetes-validate; that of FlinkDeployment comes from Maven, that of Argo CD's Application
from its Go module. What was built or fetched is kept in .stack/tools; where it cannot be had, tests are skipped and say
so. No cluster is asked anything.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import uuid
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from pydantic import SecretStr

from settings import ROOT, Settings
from stack import demo, flink, jobs, kafka, layout, ports

DEPLOY = ROOT / "deploy" / "k8s"
OVERLAYS = ("dev", "production")
# The oldest that the files are for, and one of the newest.
KUBERNETES = ("1.31", "1.37")
KUSTOMIZE = "v5.8.0"
# The newest that Maven has. The fields that we use are the same in later ones, which know more versions of Flink.
OPERATOR = "1.10.0"
ARGO_CD = "v3.2.1"

# Flink's own keys that the local stack sets to something else, or that are not set here, with the reason.
OTHERWISE = {
    "blob.server.port": "the network policies know it; a pod has its own ports",
    "jobmanager.rpc.port": "as above",
    "taskmanager.data.port": "as above",
    "taskmanager.rpc.port": "as above",
    "taskmanager.numberOfTaskSlots": "one job a cluster: as many slots as its parallelism",
    "python.executable": "the image's Python",
    "python.client.executable": "the image's Python",
    "execution.checkpointing.dir": "S3 instead of this machine's disk",
    "execution.checkpointing.savepoint-dir": "S3 instead of this machine's disk",
    "s3.endpoint": "a real S3",
}
NOT_SET = {
    "env.java.home": "the image has one Java, on its PATH",
    "env.java.opts.client": "there is no `flink run`",
    "env.java.opts.jobmanager": "it names a log file; a pod writes to its output",
    "env.java.opts.taskmanager": "as above",
    "env.log.dir": "as above: kubernetes.flink.log.dir",
    "env.pid.dir": "no daemon is started",
    "web.log.path": "no log file",
    "taskmanager.log.path": "no log file",
    "io.tmp.dirs": "the pod's /tmp",
    "rest.address": "Flink in Kubernetes finds its addresses itself",
    "rest.bind-address": "as above",
    "rest.port": "8081, the default",
    "jobmanager.rpc.address": "as above",
    "jobmanager.bind-host": "as above",
    "taskmanager.host": "as above",
    "taskmanager.bind-host": "as above",
    "sql-gateway.endpoint.rest.address": "there is no SQL gateway",
    "sql-gateway.endpoint.rest.bind-address": "there is no SQL gateway",
    "sql-gateway.endpoint.rest.port": "there is no SQL gateway",
    "jobmanager.memory.process.size": "spec.jobManager.resource.memory",
    "taskmanager.memory.process.size": "spec.taskManager.resource.memory",
    "taskmanager.memory.framework.off-heap.size": "Flink's default: no SQL queries shuffle here",
    "parallelism.default": "spec.job.parallelism",
    "s3.access-key": "in the environment, from a Secret",
    "s3.secret-key": "in the environment, from a Secret",
}

Object = dict[str, Any]


# --- Tools and schemas. ---


def tools() -> Path:
    folder = layout.state_dir() / "tools"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(*command: str | Path, seconds: float, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; skips the test where it cannot be run or takes too long."""
    try:
        return subprocess.run(
            [str(word) for word in command],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{command[0]} cannot be run: {error}")


@cache
def kustomize() -> tuple[str, ...]:
    """The command that builds an overlay."""
    if program := shutil.which("kustomize"):
        return program, "build"
    if program := shutil.which("kubectl"):
        return program, "kustomize"
    kept = tools() / f"kustomize-{KUSTOMIZE}" / "kustomize"
    if not kept.exists():
        if not shutil.which("go"):
            pytest.skip("There is no kustomize and no kubectl, nor Go, with which kustomize could be built.")
        with tempfile.TemporaryDirectory() as folder:
            built = run(
                "go", "install", f"sigs.k8s.io/kustomize/kustomize/v5@{KUSTOMIZE}", seconds=600,
                GOBIN=str(kept.parent), GOPATH=f"{folder}/path", GOCACHE=f"{folder}/cache", GOFLAGS="-modcacherw",
            )  # fmt: skip
        if built.returncode:
            pytest.skip(f"kustomize cannot be built from its Go module: {built.stderr[-300:]}")
    return str(kept), "build"


@cache
def build(overlay: str) -> tuple[Object, ...]:
    """The objects of an overlay."""
    built = run(*kustomize(), DEPLOY / "overlays" / overlay, seconds=60)
    assert built.returncode == 0, built.stderr
    return tuple(yaml.load_all(built.stdout, Loader=yaml.CSafeLoader))


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return copy.deepcopy(list(build(request.param)))


def from_maven() -> str:
    """The CustomResourceDefinition of FlinkDeployment, from the operator's API."""
    if not shutil.which("mvn"):
        pytest.skip("There is no Maven, by which the schema of FlinkDeployment is fetched.")
    artifact = f"org.apache.flink:flink-kubernetes-operator-api:{OPERATOR}"
    with tempfile.TemporaryDirectory() as folder:
        got = run(
            "mvn", "--batch-mode", "-q", "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:copy",
            f"-Dartifact={artifact}", f"-DoutputDirectory={folder}", seconds=120,
        )  # fmt: skip
        jars = list(Path(folder).glob("*.jar"))
        if not jars:
            pytest.skip(f"Maven cannot fetch {artifact}, with the schema of FlinkDeployment: {got.stdout[-300:]}")
        with zipfile.ZipFile(jars[0]) as jar:
            return jar.read("META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml").decode()


def from_go() -> str:
    """The CustomResourceDefinition of Argo CD's Application, from its Go module."""
    if not shutil.which("go"):
        pytest.skip("There is no Go, by which the schema of Argo CD's Application is fetched.")
    module = "github.com/argoproj/argo-cd/v3"
    with tempfile.TemporaryDirectory() as folder:
        got = run(
            "go", "mod", "download", "-modcacherw", f"{module}@{ARGO_CD}", seconds=120,
            GOMODCACHE=folder, GOFLAGS="-mod=mod",
        )  # fmt: skip
        found = Path(folder) / f"{module}@{ARGO_CD}/manifests/crds/application-crd.yaml"
        if not found.exists():
            pytest.skip(f"Go cannot fetch {module} {ARGO_CD}, with the schema of Application: {got.stderr[-300:]}")
        return found.read_text(encoding="utf-8")


@cache
def validator(kind: str) -> jsonschema.Draft7Validator:
    """The schema of a kind of others than Kubernetes; fields that it does not know are wrong."""
    fetch, name = {
        "FlinkDeployment": (from_maven, f"flinkdeployment-{OPERATOR}.yaml"),
        "Application": (from_go, f"argocd-application-{ARGO_CD}.yaml"),
    }[kind]
    kept = tools() / name
    if not kept.exists():
        kept.write_text(fetch(), encoding="utf-8")
    definition = yaml.load(kept.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    schema = strict(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"const": kind}, "metadata": {"type": "object"}}
    if kind == "FlinkDeployment":
        # This release of the operator is older than Flink 2: the version is checked by itself.
        schema["properties"]["spec"]["properties"]["flinkVersion"] = {"const": flink_version()}
    return jsonschema.Draft7Validator(schema)


def strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if made.get("type") == "object" and "properties" in made and "x-kubernetes-preserve-unknown-fields" not in made:
        made.setdefault("additionalProperties", False)
    return made


def flink_version() -> str:
    """Flink's version as the operator writes it: v2_3."""
    return "v" + "_".join(version("apache-flink").split(".")[:2])


def problems(thing: Object) -> list[str]:
    """What is wrong with an object by its schema."""
    if thing["kind"] in ("FlinkDeployment", "Application"):
        return [
            f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
            for error in validator(thing["kind"]).iter_errors(thing)
        ]
    found = []
    for kubernetes in KUBERNETES:
        try:
            kubernetes_validate.validate(thing, kubernetes, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{kubernetes}: {error}")
    return found


# --- What the objects hold. ---


def of(objects: list[Object], kind: str) -> list[Object]:
    found = [thing for thing in objects if thing["kind"] == kind]
    assert found, f"there is no {kind}"
    return found


def named(objects: list[Object], kind: str, name: str) -> Object:
    return next(thing for thing in of(objects, kind) if thing["metadata"]["name"] == name)


def pods(objects: list[Object]) -> dict[str, Object]:
    """The template of the pods of each workload, with `metadata` and `spec`, by its kind and name."""
    templates = {}
    for thing in objects:
        path = {
            "Deployment": ("template",),
            "Job": ("template",),
            "CronJob": ("jobTemplate", "spec", "template"),
            "FlinkDeployment": ("podTemplate",),
        }.get(thing["kind"])
        if path:
            template = thing["spec"]
            for key in path:
                template = template[key]
            templates[f"{thing['kind']} {thing['metadata']['name']}"] = template
    return templates


def settings_of(objects: list[Object]) -> dict[str, str]:
    (found,) = (thing for thing in of(objects, "ConfigMap") if thing["metadata"]["name"].startswith("settings-"))
    data: dict[str, str] = found["data"]
    return data


def examples() -> dict[str, dict[str, str]]:
    """The keys and values of each example of a Secret, by the Secret's name."""
    return {
        file.name.partition(".")[0]: dict(
            line.split("=", 1) for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
        )
        for file in DEPLOY.rglob("*.secret.example.env")
    }


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector chooses what has these labels."""
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(
        labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", [])
        if one["operator"] == "In"
    )


# --- The tests. ---


def test_every_object_fits_its_schema(objects: list[Object]) -> None:
    for thing in objects:
        assert not problems(thing), f"{thing['kind']} {thing['metadata']['name']}"


def test_the_argo_application_fits_its_schema_and_names_an_overlay() -> None:
    application = yaml.safe_load((DEPLOY / "argocd/application.yaml").read_text(encoding="utf-8"))
    assert not problems(application)
    overlay = ROOT / application["spec"]["source"]["path"]
    assert overlay.parent == DEPLOY / "overlays"
    (namespace,) = of(list(build(overlay.name)), "Namespace")
    assert application["spec"]["destination"]["namespace"] == namespace["metadata"]["name"]
    for ignored in application["spec"]["ignoreDifferences"]:
        named(list(build(overlay.name)), ignored["kind"], ignored["name"])


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("FlinkDeployment", lambda spec: spec["job"].update(upgradeMode="restart")),
        ("FlinkDeployment", lambda spec: spec["job"].update(paralelism=2)),
        ("FlinkDeployment", lambda spec: spec["flinkConfiguration"].update({"taskmanager.numberOfTaskSlots": 2})),
        ("FlinkDeployment", lambda spec: spec.update(flinkVersion="v1_20")),
        ("FlinkDeployment", lambda spec: spec["podTemplate"]["spec"]["containers"][0].update(envform=[])),
        ("Deployment", lambda spec: spec["template"]["spec"]["containers"][0].update(readynessProbe={})),
        ("NetworkPolicy", lambda spec: spec.update(policyTypes="Egress")),
        ("CronJob", lambda spec: spec.pop("schedule")),
        ("Application", lambda spec: spec["source"].pop("repoURL")),
        ("Application", lambda spec: spec["syncPolicy"]["automated"].update(prunes=True)),
    ],
)
def test_what_is_wrong_is_found(kind: str, change: Callable[[Object], None]) -> None:
    if kind == "Application":
        thing = yaml.safe_load((DEPLOY / "argocd/application.yaml").read_text(encoding="utf-8"))
    else:
        thing = copy.deepcopy(of(list(build("dev")), kind)[0])
    change(thing["spec"])
    assert problems(thing)


def test_every_job_of_the_suite_has_one_flink_deployment(objects: list[Object]) -> None:
    started = {}
    for deployment in of(objects, "FlinkDeployment"):
        job = deployment["spec"]["job"]
        option, module = job["args"]
        assert option == "-pym"
        started[module.removeprefix("jobs.")] = deployment["metadata"]["name"]
        assert Path(job["jarURI"]).name in {jar.name for jar in (flink.distribution() / "opt").glob("*.jar")}
        assert deployment["spec"]["serviceAccount"] == named(objects, "ServiceAccount", "flink")["metadata"]["name"]
        slots = int(deployment["spec"]["flinkConfiguration"]["taskmanager.numberOfTaskSlots"])
        assert slots == job["parallelism"] == int(settings_of(objects)["CROWDPULSE_PARALLELISM"])
    assert started.keys() == {*demo.JOBS, "moderation"} == set(jobs.known_jobs())
    assert started == {job: job.replace("_", "-") for job in started}


def test_flink_is_configured_as_on_the_local_stack(objects: list[Object]) -> None:
    local = {
        key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in flink.config().items()
    }
    assert NOT_SET.keys() & OTHERWISE.keys() == set()
    for deployment in of(objects, "FlinkDeployment"):
        here = deployment["spec"]["flinkConfiguration"]
        same = local.keys() - NOT_SET.keys() - OTHERWISE.keys()
        assert {key: here.get(key) for key in same} == {key: local[key] for key in same}
        assert NOT_SET.keys() & here.keys() == set()
        differing = OTHERWISE.keys() & local.keys()
        assert not [key for key in differing if here[key] == local[key]], "no longer otherwise"
        lines = deployment["spec"]["logConfiguration"]["log4j-console.properties"].splitlines()
        assert set(flink.LOG4J_LEVELS.splitlines()) <= set(lines)


def test_flink_keeps_its_state_in_the_bucket_of_the_settings(objects: list[Object]) -> None:
    chosen = settings_of(objects)
    folders = ("execution.checkpointing.dir", "execution.checkpointing.savepoint-dir", "high-availability.storageDir")
    for deployment in of(objects, "FlinkDeployment"):
        here = deployment["spec"]["flinkConfiguration"]
        assert {urlsplit(here[key]).netloc for key in folders} == {chosen["CROWDPULSE_S3_BUCKET"]}
        assert here["s3.endpoint"] == chosen["CROWDPULSE_S3_ENDPOINT"]


def test_settings_are_those_of_the_code_and_no_secret_is_in_the_tree(
    objects: list[Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {f"CROWDPULSE_{name.upper()}": field for name, field in Settings.model_fields.items()}
    secret = {name for name, field in fields.items() if isinstance(field.default, SecretStr)}
    chosen = settings_of(objects)
    assert chosen.keys() <= fields.keys() - secret
    for name in [name for name in os.environ if name.startswith("CROWDPULSE_")]:
        monkeypatch.delenv(name)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    Settings(_env_file=None)  # raises for a value that is none

    known = {"PATH", "OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE", "FORWARDED_ALLOW_IPS"}
    maps = {thing["metadata"]["name"] for thing in of(objects, "ConfigMap")}
    for name, template in pods(objects).items():
        (container,) = template["spec"]["containers"]
        assert {one["name"] for one in container.get("env", [])} <= known | fields.keys() - secret, name
        assert {one["configMapRef"]["name"] for one in container["envFrom"] if "configMapRef" in one} <= maps, name
        assert {one["secretRef"]["name"] for one in container["envFrom"] if "secretRef" in one} <= examples().keys()
        volumes = [
            volume["configMap"]["name"] for volume in template["spec"].get("volumes", []) if "configMap" in volume
        ]
        assert set(volumes) <= maps, name

    for name, values in examples().items():
        assert values.keys() <= fields.keys() | {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}, name
        assert not any(values.values()), f"{name} holds a value"
    assert not [thing for thing in objects if thing["kind"] == "Secret"]
    for file in DEPLOY.rglob("*"):
        if file.is_file() and not file.name.endswith(".secret.env"):
            text = file.read_text(encoding="utf-8")
            assert not re.search(rf"^\s*(- )?({'|'.join(secret)}|AWS_\w+)[ \t]*[=:][ \t]*\S", text, re.MULTILINE), file
    ignored = run(
        "git",
        "-C",
        ROOT,
        "check-ignore",
        *(f"deploy/k8s/base/secrets/{name}.secret.env" for name in examples()),
        seconds=10,
    )
    if ignored.returncode != 128:  # not a git checkout
        assert len(ignored.stdout.splitlines()) == len(examples())


def test_pods_may_do_no_more_than_they_must(objects: list[Object]) -> None:
    (namespace,) = of(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    tag = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    for name, template in pods(objects).items():
        pod = template["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 9999, "the user of docker/Dockerfile"
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert not any(pod.get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC")), name
        if not name.startswith("FlinkDeployment"):  # Flink writes its own configuration and files
            assert own["readOnlyRootFilesystem"] is True
            assert pod["automountServiceAccountToken"] is False, name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"], name
    images = {container["image"] for container in _containers(objects)}
    images |= {deployment["spec"]["image"] for deployment in of(objects, "FlinkDeployment")}
    assert {image.rpartition(":")[2] for image in images} == {tag}
    assert {image.rpartition(":")[0].rpartition("/")[2] for image in images} == {"crowdpulse"}


def _containers(objects: list[Object]) -> Iterator[Object]:
    for name, template in pods(objects).items():
        if not name.startswith("FlinkDeployment"):
            yield from template["spec"]["containers"]


def test_what_the_pods_run_exists(objects: list[Object]) -> None:
    for container in _containers(objects):
        program, *arguments = container["command"]
        assert program == "python"
        if arguments[0] == "-m":
            assert find_spec(arguments[1]), f"there is no module {arguments[1]}"
        else:
            (volume,) = (one for one in container["volumeMounts"] if one["mountPath"] == str(Path(arguments[0]).parent))
            (script,) = (
                one for one in of(objects, "ConfigMap") if one["metadata"]["name"].startswith(volume["name"] + "-")
            )
            assert Path(arguments[0]).name in script["data"]


def test_selectors_and_references_find_what_they_mean(objects: list[Object]) -> None:
    templates = pods(objects)
    labels = {name: template["metadata"]["labels"] for name, template in templates.items()}
    service_labels = labels["Deployment moderation-service"]

    def chosen(selector: Object) -> set[str]:
        return {name for name, found in labels.items() if matches(selector, found)}

    only = {"Deployment moderation-service"}
    assert chosen(named(objects, "Deployment", "moderation-service")["spec"]["selector"]) == only
    for budget in of(objects, "PodDisruptionBudget"):
        assert chosen(budget["spec"]["selector"]) == only
    service = named(objects, "Service", "moderation-service")["spec"]
    assert chosen({"matchLabels": service["selector"]}) == only
    (container,) = templates["Deployment moderation-service"]["spec"]["containers"]
    (port,) = container["ports"]
    assert port["containerPort"] == 9000 + ports.OFFSETS["moderation"]
    assert {one["targetPort"] for one in service["ports"]} == {port["name"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]
    assert service_labels["app.kubernetes.io/part-of"] == "crowdpulse"
    for scaler in (thing for thing in objects if thing["kind"] == "HorizontalPodAutoscaler"):
        named(objects, scaler["spec"]["scaleTargetRef"]["kind"], scaler["spec"]["scaleTargetRef"]["name"])
        assert "replicas" not in named(objects, "Deployment", "moderation-service")["spec"], "the autoscaler's to say"
    for ingress in (thing for thing in objects if thing["kind"] == "Ingress"):
        hosts = {host for tls in ingress["spec"]["tls"] for host in tls["hosts"]}
        for rule in ingress["spec"]["rules"]:
            assert rule["host"] in hosts, "without TLS"
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                ends = named(objects, "Service", backend["name"])["spec"]["ports"]
                assert backend["port"]["name"] in {end["name"] for end in ends}
    for binding in of(objects, "RoleBinding"):
        named(objects, binding["roleRef"]["kind"], binding["roleRef"]["name"])
        for subject in binding["subjects"]:
            account = named(objects, subject["kind"], subject["name"])
            assert subject["namespace"] == account["metadata"]["namespace"]
    for policy in of(objects, "NetworkPolicy"):
        assert chosen(policy["spec"]["podSelector"]), policy["metadata"]["name"]


def test_nothing_has_a_name_that_flink_gives_itself(objects: list[Object]) -> None:
    # In Kubernetes, Flink makes a Deployment of the job's name, and Services and ConfigMaps that begin with it.
    made = {deployment["metadata"]["name"] for deployment in of(objects, "FlinkDeployment")}
    for thing in objects:
        name = thing["metadata"]["name"]
        if thing["kind"] in ("Deployment", "Service", "ConfigMap"):
            assert name not in made
            assert name not in {f"{job}-rest" for job in made}


def passes(objects: list[Object], direction: str, labels: dict[str, str], namespace: str, port: int) -> bool:
    """Whether the network policies let pods with these labels talk to (egress) or hear from (ingress) a namespace."""
    for policy in (one["spec"] for one in of(objects, "NetworkPolicy")):
        if direction.capitalize() not in policy["policyTypes"] or not matches(policy["podSelector"], labels):
            continue
        for rule in policy.get(direction, []):
            ends = rule.get("to" if direction == "egress" else "from")
            spaces = [end["namespaceSelector"] for end in ends or [] if "namespaceSelector" in end]
            there = {"kubernetes.io/metadata.name": namespace}
            if ends is None or any(matches(space, there) for space in spaces):
                for one in rule["ports"]:
                    if one["protocol"] == "TCP" and one["port"] <= port <= one.get("endPort", one["port"]):
                        return True
    return False


@pytest.mark.parametrize(
    ("component", "reaches"),
    [
        ("flink", {"kafka", "elasticsearch", "s3"}),
        ("service", {"kafka"}),
        ("monitor", {"elasticsearch", "s3"}),  # its webhook: by HTTPS, as S3
        ("setup", {"kafka", "elasticsearch"}),
    ],
)
def test_pods_reach_the_addresses_of_the_settings_and_no_others(
    objects: list[Object], component: str, reaches: set[str]
) -> None:
    chosen = settings_of(objects)
    addresses = {
        "kafka": urlsplit(f"kafka://{chosen['CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS'].split(',')[0]}"),
        "elasticsearch": urlsplit(chosen["CROWDPULSE_ELASTICSEARCH_HOSTS"].split(";")[0]),
        "s3": urlsplit(chosen["CROWDPULSE_S3_ENDPOINT"]),
    }
    ours = [
        template["metadata"]["labels"]
        for template in pods(objects).values()
        if template["metadata"]["labels"]["app.kubernetes.io/component"] == component
    ]
    assert ours, f"no pod is a {component}"
    for labels in ours:
        found = set()
        for name, address in addresses.items():
            host = str(address.hostname).split(".")
            namespace = host[1] if host[2:] == ["svc"] else "outside"
            if passes(objects, "egress", labels, namespace, address.port or 443):
                found.add(name)
        assert found == reaches


def test_only_those_who_must_reach_the_pods(objects: list[Object]) -> None:
    denied = named(objects, "NetworkPolicy", "default-deny")["spec"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, template in pods(objects).items():
        reached = {
            (namespace, port)
            for namespace in ("ingress-nginx", "monitoring", "flink-operator", "default")
            for port in (6121, 6123, 8081, 9095, 9249)
            if passes(objects, "ingress", template["metadata"]["labels"], namespace, port)
        }
        assert reached == {
            "FlinkDeployment": {("flink-operator", 8081), ("monitoring", 9249)},
            "Deployment": {("ingress-nginx", 9095), ("monitoring", 9095)},
        }.get(name.split()[0], set())


@pytest.mark.stack
def test_setup_makes_the_topics() -> None:
    (script,) = (one for one in of(list(build("dev")), "ConfigMap") if one["metadata"]["name"].startswith("setup-"))
    prefix = f"test-{uuid.uuid4().hex[:8]}."
    try:
        done = run(
            sys.executable, "-c", script["data"]["setup.py"], seconds=60,
            PYTHONPATH=str(ROOT), CROWDPULSE_PREFIX=prefix,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"Created topic {prefix}chat_messages (4 partitions)." in done.stdout
        assert "templates are in Elasticsearch" in done.stdout
    finally:
        kafka.delete_topics(prefix)
