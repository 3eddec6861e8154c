"""Elasticsearch: one node on 127.0.0.1, and the index templates of kibana/index_templates.

It is without security, unless the stack is the secured one.

Elasticsearch refuses to run as root, so root starts it as the user `crowdpulse`, made when missing. Where that user
cannot enter the checkout (one under /root, for instance), the node's files live in /var/tmp instead.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import requests

from services.elasticsearch import request_options
from settings import ROOT, settings
from stack import certificates, java, layout, maven, ports, processes, security
from stack.errors import StackError

NAME = "elasticsearch"
USER = "crowdpulse"
TEMPLATES = ROOT / "kibana" / "index_templates"

CONFIG = """\
cluster.name: crowdpulse
node.name: {name}
discovery.type: single-node
network.host: {host}
http.port: {http_port}
transport.port: {transport_port}
path.data: {base}/data
path.logs: {base}/logs
{security}
# Percentages of a laptop's disk would stop all writes while tens of GB are free.
cluster.routing.allocation.disk.watermark.low: 3gb
cluster.routing.allocation.disk.watermark.high: 2gb
cluster.routing.allocation.disk.watermark.flood_stage: 1gb
"""

OPEN = "xpack.security.enabled: false"
SECURED = """\
xpack.security.enabled: true
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.key: elasticsearch.key.pem
xpack.security.http.ssl.certificate: elasticsearch.pem"""

# Splits e-mail addresses as the index of roles and API keys wants it: see stack/elasticsearch_analysis.
ANALYSIS = Path(__file__).with_name("elasticsearch_analysis")

# -Xlog:disable: the distribution's own options would write a gc log of up to 2 GB.
JVM_OPTIONS = """\
-Xms{heap}
-Xmx{heap}
-Xlog:disable
-Xlog:all=warning:stderr:utctime,level,tags
"""

LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p %c{1.} %m%consoleException%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
logger.deprecation.name = deprecation
logger.deprecation.level = error
"""


@dataclass(frozen=True)
class Node:
    """An Elasticsearch node: its process name, version and ports. `node()` is the one of the stack."""

    name: str
    version: str
    http_port: int
    transport_port: int

    @property
    def url(self) -> str:
        """Its HTTP address."""
        return f"{'https' if settings().secured else 'http'}://{ports.HOST}:{self.http_port}"


def node(version: str | None = None) -> Node:
    """The stack's node; `version` is 9 where a Java 21 or later is found, else 8, unless given."""
    return Node(
        NAME,
        version or maven.elasticsearch_version(),
        ports.port("elasticsearch"),
        ports.port("elasticsearch-transport"),
    )


def user() -> str | None:
    """Whom the node runs as when that is not the user of this process: `crowdpulse` for root, else None."""
    return USER if os.geteuid() == 0 else None


def make_user() -> None:
    """Make the user `crowdpulse` if this process is root's and there is none. Raises StackError when that fails."""
    if user() is None:
        return
    try:
        pwd.getpwnam(USER)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", USER]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
            raise StackError(
                f"Elasticsearch does not run as root, and the user {USER} cannot be made ({reason}): "
                "make it by hand, or run the stack as an ordinary user."
            ) from error


def _allowed(*test: str | Path) -> bool:
    """Whether the node's user passes a `test` of the shell, such as `-r FILE`."""
    arguments = ["test", *map(str, test)]
    owner = user()
    done = subprocess.run(arguments, user=owner, group=owner, extra_groups=[] if owner else None, check=False)
    return done.returncode == 0


def base_dir(name: str = NAME) -> Path:
    """Where a node keeps its data and configuration: in the checkout, or in /var/tmp when its user cannot enter it."""
    foreign = layout.foreign_dir(name)
    return foreign if foreign.is_dir() else layout.data_dir(name)


def is_outside(name: str = NAME) -> bool:
    """Whether the node's files are in /var/tmp, since its user cannot enter the checkout."""
    return base_dir(name) == layout.foreign_dir(name)


def _make_base(name: str) -> Path:
    base = base_dir(name)
    base.mkdir(parents=True, exist_ok=True)
    owner = user()
    if base == layout.foreign_dir(name):
        if base.owner() != owner:
            raise StackError(f"{base}, where Elasticsearch keeps its data, belongs to {base.owner()}: move it away.")
    elif owner:
        shutil.chown(base, owner, owner)
        if not _allowed("-w", base):
            base.rmdir()
            base = layout.foreign_dir(name)
            base.mkdir(mode=0o700, parents=True)
            shutil.chown(base, owner, owner)
    return base


def _distribution(version: str, base: Path) -> Path:
    """The unpacked Elasticsearch; a copy in `base` when the node's user cannot read the one in the checkout."""
    home = maven.elasticsearch_home(version)
    if _allowed("-r", home / "bin/elasticsearch") and _allowed("-x", home / "lib"):
        return home
    copy = base / home.name
    if not copy.exists():
        shutil.copytree(home, copy)
        _give(copy)
    return copy


def _give(folder: Path) -> None:
    """Make the node's user the owner of a folder and all in it."""
    owner = user()
    if owner:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, owner, owner)


def problem_with_data(version: str, name: str = NAME) -> str:
    """A sentence when the stored data was written by a later Elasticsearch than `version`, else empty."""
    stamp = base_dir(name) / "version"
    if not stamp.is_file():
        return ""
    written = stamp.read_text().strip()
    if int(written.split(".")[0]) <= int(version.split(".")[0]):
        return ""
    return (
        f"The data of {name} was written by Elasticsearch {written}, which needs Java {java.ELASTICSEARCH_9_FROM} or "
        "later; none is found now. Set JAVA_HOME to one, or delete the data with `python -m stack down --data`."
    )


def _java_home(version: str) -> Path:
    found = java.for_elasticsearch_9() if int(version.split(".")[0]) >= 9 else java.for_flink()
    if found is None:
        raise StackError(f"No Java is found for Elasticsearch {version}: see `python -m stack up`.")
    if not _allowed("-x", found.home / "bin/java"):
        raise StackError(
            f"Elasticsearch runs as the user {USER}, who may not run {found.home}/bin/java: install a Java "
            "outside that folder (Debian: apt-get install openjdk-17-jdk-headless), or run the stack as an ordinary "
            "user."
        )
    return found.home


def start(which: Node | None = None) -> None:
    """Start a node (default: the stack's) if it does not run. Raises StackError with the reason if it cannot."""
    which = which or node()
    if processes.pid(which.name):
        return
    make_user()
    java_home = _java_home(which.version)
    base = _make_base(which.name)
    home = _distribution(which.version, base)
    config = base / "config"
    shutil.rmtree(config, ignore_errors=True)
    (config / "jvm.options.d").mkdir(parents=True)
    shutil.copy(home / "config/jvm.options", config)
    (config / "jvm.options.d/crowdpulse.options").write_text(JVM_OPTIONS.format(heap=settings().elasticsearch_heap))
    (config / "log4j2.properties").write_text(LOG4J)
    (config / "elasticsearch.yml").write_text(
        CONFIG.format(
            name=which.name,
            host=ports.HOST,
            http_port=which.http_port,
            transport_port=which.transport_port,
            base=base,
            security=SECURED if settings().secured else OPEN,
        )
    )
    if settings().secured:
        home = _secured_home(home, base, java_home, which.version)
        for name, text in security.users_files().items():
            certificates.write_secret(config / name, text)
        for name in (f"{NAME}.key.pem", f"{NAME}.pem"):
            certificates.write_secret(config / name, (security.folder() / name).read_text())
    for folder in ("data", "logs", "tmp"):
        (base / folder).mkdir(exist_ok=True)
        if user() and (base / folder).owner() != USER:
            _give(base / folder)
    _give(config)
    (base / "version").write_text(which.version)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ES_", "JAVA_", "_JAVA"))}
    environment |= {
        "ES_JAVA_HOME": str(java_home),
        "ES_PATH_CONF": str(config),
        "ES_TMPDIR": str(base / "tmp"),
        "HOME": str(base),
    }
    processes.start(
        which.name,
        [home / "bin/elasticsearch"],
        log=processes.log_file(which.name),
        environment=environment,
        directory=base,
        user=user(),
        part=which.name == NAME,
    )


def _secured_home(home: Path, base: Path, java_home: Path, version: str) -> Path:
    """A home that links the distribution's and adds the plugin of stack/elasticsearch_analysis, compiled."""
    secured = base / "home"
    shutil.rmtree(secured, ignore_errors=True)
    plugin, classes = secured / "plugins" / "crowdpulse-analysis", base / "tmp" / "classes"
    plugin.mkdir(parents=True)
    for name in ("bin", "lib", "modules"):
        (secured / name).symlink_to(home / name)
    shutil.rmtree(classes, ignore_errors=True)
    classes.mkdir(parents=True)
    compiler = java_home / "bin/javac"
    if not compiler.exists():
        raise StackError(f"The secured stack compiles a class for Elasticsearch, and {java_home} has no javac: a JDK.")
    sources = [str(file) for file in ANALYSIS.glob("*.java")]
    done = subprocess.run(
        [compiler, "-d", classes, "-cp", f"{home}/lib/*", *sources], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StackError(f"{layout.shown(ANALYSIS)} does not compile: {done.stderr[-800:]}")
    with zipfile.ZipFile(plugin / "crowdpulse-analysis.jar", "w") as jar:
        for file in sorted(classes.rglob("*.class")):
            jar.write(file, file.relative_to(classes))
    shutil.rmtree(classes)
    shutil.copy(ANALYSIS / "named_components.json", plugin)
    descriptor = (ANALYSIS / "stable-plugin-descriptor.properties").read_text()
    (plugin / "stable-plugin-descriptor.properties").write_text(descriptor + f"elasticsearch.version={version}\n")
    _give(plugin)
    return secured


def stop(which: Node | None = None) -> None:
    """Stop a node (default: the stack's); its data stays."""
    processes.stop(which.name if which else NAME, timeout_seconds=60)


def health(which: Node | None = None) -> str:
    """Empty when the node has a master and answers, else what is missing."""
    which = which or node()
    try:
        # The roles' keys come later than the node: only the superuser is there from the start.
        login = {"auth": security.elasticsearch_superuser()} if settings().secured else {}
        answer = requests.get(f"{which.url}/_cluster/health", timeout=5, **(request_options() | login))
        answer.raise_for_status()
    except requests.RequestException as error:
        return f"does not answer yet ({type(error).__name__})"
    return "has a red index: see its log" if answer.json()["status"] == "red" else ""


def delete_data(name: str = NAME) -> None:
    """Delete all that a stopped node stored, inside and outside the checkout."""
    for folder in (layout.data_dir(name), layout.foreign_dir(name)):
        if folder.exists():
            shutil.rmtree(folder)


def put_templates(url: str | None = None, folder: Path = TEMPLATES) -> list[str]:
    """Put every template of a folder: `NAME.json` is the index template `crowdpulse_NAME`; `_NAME.json` the component
    template `crowdpulse_NAME` that others name in `composed_of`. Index templates hold for new indices only.
    Login and authority are those of the settings.

    Returns the names put. Raises StackError with Elasticsearch's reason when it refuses one.
    """
    url = url or node().url
    put = []
    for file in sorted(folder.glob("*.json"), key=lambda file: (not file.name.startswith("_"), file.name)):
        kind = "_component_template" if file.name.startswith("_") else "_index_template"
        name = "crowdpulse_" + file.stem.lstrip("_")
        try:
            body = json.loads(file.read_text())
        except ValueError as error:
            raise StackError(f"{layout.shown(file)} is not JSON: {error}.") from error
        if kind == "_index_template":
            # `a-*` and `*.b` could both match `a-x.b`, which Elasticsearch refuses unless their priorities differ.
            body["priority"] = body.get("priority", 100) + crc32(name.encode())
        try:
            answer = requests.put(f"{url}/{kind}/{name}", json=body, timeout=30, **request_options())
        except requests.RequestException as error:
            raise StackError(f"Elasticsearch at {url} does not answer: is the stack up?") from error
        if not answer.ok:
            raise StackError(f"Elasticsearch refuses {layout.shown(file)}: {answer.text[:600]}")
        put.append(name)
    return put


def delete_indices(prefix: str) -> list[str]:
    """Delete every index whose name begins with `prefix` and is longer; returns their names.

    Elasticsearch itself refuses a wildcard here, so that nobody deletes everything by a slip: an empty prefix is
    refused too. Raises ValueError for it, StackError when Elasticsearch does not answer.
    """
    if not prefix:
        raise ValueError("An empty prefix would delete every index.")
    url = node().url
    try:
        answer = requests.get(f"{url}/{prefix}*", timeout=30, **request_options())
        answer.raise_for_status()  # an error is JSON too, whose keys are no indices
        names = sorted(answer.json())
        for name in names:
            requests.delete(f"{url}/{name}", timeout=30, **request_options()).raise_for_status()
    except requests.RequestException as error:
        raise StackError(f"Elasticsearch at {url} did not delete {prefix}*: {error}") from error
    return names
