"""Flink: a session cluster of one JobManager and one TaskManager, from the distribution in the package apache-flink.

The package stays as pip made it: `.stack/flink` is a Flink home of our own that links its jars, adds the connectors,
the SQL gateway and the S3 filesystem, and has a `conf/config.yaml` written from the settings.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import requests
import yaml

from settings import settings
from stack import java, layout, maven, moto, ports, processes, security
from stack.errors import StackError

JOBMANAGER = "jobmanager"
TASKMANAGER = "taskmanager"

# `flink run` lives for seconds: what its JVM would optimise never pays.
CLIENT_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# What Flink's own config.yaml opens, for Java 17.
JAVA_OPTIONS = [
    *(f"--add-exports=java.rmi/{name}=ALL-UNNAMED" for name in ("sun.rmi.registry",)),
    *(
        f"--add-exports=jdk.compiler/com.sun.tools.javac.{name}=ALL-UNNAMED"
        for name in ("api", "file", "parser", "tree", "util")
    ),
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    *(
        f"--add-opens=java.base/{name}=ALL-UNNAMED"
        for name in (
            "java.lang",
            "java.net",
            "java.io",
            "java.nio",
            "sun.nio.ch",
            "java.lang.reflect",
            "java.text",
            "java.time",
            "java.util",
            "java.util.concurrent",
            "java.util.concurrent.atomic",
            "java.util.concurrent.locks",
        )
    ),
]

LOG4J_LEVELS = """\
rootLogger.level = INFO
logger.pekko.name = org.apache.pekko
logger.pekko.level = WARN
logger.kafka.name = org.apache.kafka
logger.kafka.level = WARN
# The connector's own copy. While Kafka is away its clients tell so up to 16,000 times a second.
logger.connector.name = org.apache.flink.kafka.shaded.org.apache.kafka
logger.connector.level = WARN
# Flink registers a metric of transactional sinks anew with each checkpoint, and says each time that it is there.
logger.metrics.name = org.apache.flink.metrics.MetricGroup
logger.metrics.level = ERROR
logger.hadoop.name = org.apache.hadoop
logger.hadoop.level = WARN
# It tells of the environments of Python workers, with all variables that they have: keys and passwords too.
logger.environments.name = org.apache.beam.runners.fnexecution.control.DefaultJobBundleFactory
logger.environments.level = OFF
"""

# One file a process, named by the system property of config.yaml: 3 x 50 MB at most.
LOG4J = f"""\
{LOG4J_LEVELS}rootLogger.appenderRef.file.ref = File
appender.file.name = File
appender.file.type = RollingFile
appender.file.fileName = ${{sys:crowdpulse.log}}
appender.file.filePattern = ${{sys:crowdpulse.log}}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yyyy-MM-dd HH:mm:ss,SSS}} %-5p %c{{1}} - %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 50MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
"""


def config() -> dict[str, Any]:
    """Flink's configuration as flat keys, from the settings."""
    chosen = settings()
    found = java.for_flink()
    logs = layout.logs_dir()
    return {
        **({"env.java.home": str(found.home)} if found else {}),
        "env.java.opts.all": " ".join(JAVA_OPTIONS),
        "env.java.opts.client": CLIENT_JAVA_OPTIONS,
        "env.java.opts.jobmanager": f"-Dcrowdpulse.log={logs / 'jobmanager.log'}",
        "env.java.opts.taskmanager": f"-Dcrowdpulse.log={logs / 'taskmanager.log'}",
        "env.log.dir": str(logs),
        "env.pid.dir": str(layout.flink_home() / "pid"),
        # Addresses: everything on this machine only, every port known before the start.
        "rest.address": ports.HOST,
        "rest.bind-address": ports.HOST,
        # No rest.bind-port: the SQL client's own little server would take it too.
        "rest.port": ports.port("flink-rest"),
        "jobmanager.rpc.address": ports.HOST,
        "jobmanager.rpc.port": ports.port("jobmanager-rpc"),
        "jobmanager.bind-host": ports.HOST,
        "blob.server.port": str(ports.port("jobmanager-blob")),
        "taskmanager.host": ports.HOST,
        "taskmanager.bind-host": ports.HOST,
        "taskmanager.rpc.port": str(ports.port("taskmanager-rpc")),
        "taskmanager.data.port": ports.port("taskmanager-data"),
        "sql-gateway.endpoint.rest.address": ports.HOST,
        "sql-gateway.endpoint.rest.bind-address": ports.HOST,
        "sql-gateway.endpoint.rest.port": ports.port("sql-gateway"),
        "web.log.path": str(logs / "jobmanager.log"),
        "taskmanager.log.path": str(logs / "taskmanager.log"),
        # Size.
        "jobmanager.memory.process.size": "1200m",
        "taskmanager.memory.process.size": chosen.taskmanager_memory,
        # Queries of the SQL client shuffle through 64 MB of it. Of 128 MB, the default, the demo's jobs left them too
        # little after an hour, and they waited for ever.
        "taskmanager.memory.framework.off-heap.size": "256m",
        # Out of memory it would hang on and take no job any more; ended, `status` shows it and `up` starts it again.
        "taskmanager.jvm-exit-on-oom": True,
        "taskmanager.numberOfTaskSlots": chosen.task_slots,
        "parallelism.default": chosen.parallelism,
        "io.tmp.dirs": str(layout.tmp_dir()),
        # A killed TaskManager is noticed in some ten seconds instead of fifty.
        "heartbeat.interval": "3 s",
        "heartbeat.rpc-failure-threshold": 2,
        # Then all jobs start anew at once, and on two cores a cold TaskManager needs more than 10 s, the default, to
        # take all their tasks: jobs whose tasks it took too late would start once more.
        "pekko.ask.timeout": "60 s",
        # Python.
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        # Checkpoints: what is retained is what `python -m stack submit` resumes from.
        "state.backend.type": "hashmap",
        "execution.checkpointing.dir": layout.checkpoints_dir().as_uri(),
        "execution.checkpointing.savepoint-dir": (layout.data_dir("savepoints")).as_uri(),
        "execution.checkpointing.interval": "10 s",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.timeout": "5 min",
        # While Elasticsearch is away for long, checkpoints may time out; the job waits for it all the same.
        "execution.checkpointing.tolerable-failed-checkpoints": 1000,
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": 2,
        # Only RocksDB can; a job that chooses it gets it.
        "execution.checkpointing.incremental": True,
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "1 min",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "10 min",
        "table.local-time-zone": "UTC",
        "s3.endpoint": chosen.s3_endpoint,
        "s3.path.style.access": True,
        # Elsewhere than at moto, Flink finds the credentials as AWS's tools do.
        **({"s3.access-key": moto.ACCESS_KEY, "s3.secret-key": moto.SECRET_KEY} if moto.is_s3() else {}),
    }


def distribution() -> Path:
    """The `pyflink` folder of this interpreter. Raises StackError when apache-flink is not installed."""
    found = importlib.util.find_spec("pyflink")
    if found is None or found.origin is None:
        raise StackError(
            f"apache-flink is not installed for {sys.executable}: "
            "`pip install -r requirements.txt` in the project's .venv."
        )
    return Path(found.origin).parent


def make_home() -> Path:
    """Make `.stack/flink` anew, with no temporary files. Only while no Flink process runs from it."""
    home, source, jars = layout.flink_home(), distribution(), layout.jars_dir() / "flink"
    layout.remove(layout.tmp_dir())  # what was killed has left its files there: gigabytes, of a job with large state
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(source / "bin", home / "bin")
    for script in (home / "bin").iterdir():
        script.chmod(0o755)
    for folder in ("lib", "opt"):
        (home / folder).mkdir()
        for jar in [*(source / folder).glob("*.jar"), *(jars / folder).glob("*.jar")]:
            (home / folder / jar.name).symlink_to(jar)
    # In lib/ its classes are loaded once; from opt/ each job would load them anew, 35 MB of metaspace a submission.
    for jar in (source / "opt").glob("flink-python*.jar"):
        (home / "lib" / jar.name).symlink_to(jar)
    for jar in maven.connector_jars():
        shutil.copy2(jar, home / "lib")  # a copy: a rebuild must not change a jar that a running JVM has open
    (home / "plugins").mkdir()
    for plugin in [*(source / "plugins").iterdir(), *(jars / "plugins").iterdir()]:
        if plugin.is_dir():
            (home / "plugins" / plugin.name).symlink_to(plugin, target_is_directory=True)
    (home / "conf").mkdir()
    for file in (source / "conf").glob("log4j*.properties"):
        shutil.copy(file, home / "conf")
    (home / "conf/log4j-console.properties").write_text(LOG4J)
    write_config()
    for needed in (layout.tmp_dir(), layout.logs_dir(), layout.checkpoints_dir(), layout.data_dir("savepoints")):
        needed.mkdir(parents=True, exist_ok=True)
    return home


def write_config() -> None:
    """Write conf/config.yaml: flat keys, which Flink's shell scripts read too."""
    text = "# Written by `python -m stack up` from the settings: see .env.example.\n"
    (layout.flink_home() / "conf/config.yaml").write_text(
        text + yaml.safe_dump(config(), sort_keys=False, width=10_000)
    )


def stale_jars() -> list[str]:
    """Names of our connector jars that were rebuilt since this cluster's lib/ was made."""
    lib = layout.flink_home() / "lib"
    return [
        jar.name
        for jar in maven.connector_jars()
        if not (lib / jar.name).exists() or (lib / jar.name).stat().st_mtime < jar.stat().st_mtime
    ]


def environment() -> dict[str, str]:
    """This process's environment without what would lead Flink's scripts to another Flink, and with keys for moto."""
    # The last is what a Flink within this process tells its own workers: others would look for it in vain.
    foreign = ("FLINK_", "HADOOP_", "HBASE_", "YARN_", "JVM_ARGS", "PYFLINK_", "_FLINK", "PYTHON_LOOPBACK")
    kept = {key: value for key, value in security.environment("job").items() if not key.startswith(foreign)}
    # A job runs from a copy of its code, by which the settings' own default would be a folder of Flink's.
    ledger = {"CROWDPULSE_ENRICH_LEDGER": str(settings().enrich_ledger.absolute())}
    return moto.credentials() | kept | ledger


def is_running() -> bool:
    """Whether a process of the cluster runs."""
    return bool(processes.members(JOBMANAGER) or processes.members(TASKMANAGER))


def _start(name: str, script: str, *arguments: str, identity: str = "") -> None:
    log = layout.logs_dir() / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    processes.start(
        name,
        [layout.flink_home() / "bin" / script, "start-foreground", *arguments],
        log=log.with_suffix(".out"),
        environment=environment(),
        # Python workers import from their working directory first: it must not be the checkout, whose code may be newer
        # than what was shipped with the job.
        directory=layout.tmp_dir(),
        identity=identity,
    )


def start_jobmanager() -> None:
    """Start the JobManager if it does not run."""
    if not processes.pid(JOBMANAGER):
        _start(JOBMANAGER, "jobmanager.sh")


def start_taskmanager() -> None:
    """Start the TaskManager if it does not run; a killed one's Python workers are ended and its files deleted first."""
    if processes.pid(TASKMANAGER):
        return
    before = processes.record(TASKMANAGER)
    processes.stop(TASKMANAGER)
    if before and before.identity:
        layout.remove(layout.tmp_dir() / f"tm_{before.identity}")
    identity = f"taskmanager-{int(time.time())}"
    _start(TASKMANAGER, "taskmanager.sh", "-D", f"taskmanager.resource-id={identity}", identity=identity)


def stop_taskmanager() -> None:
    """Stop the TaskManager with its Python workers. Its jobs wait for another."""
    processes.stop(TASKMANAGER, timeout_seconds=30)


def kill_taskmanager() -> None:
    """Kill the TaskManager as a crash would (SIGKILL). `start_taskmanager` brings it back, and its jobs with it."""
    processes.kill(TASKMANAGER)


def stop_jobmanager() -> None:
    """Stop the JobManager, and with it every job of the cluster."""
    processes.stop(JOBMANAGER, timeout_seconds=30)


def stop() -> None:
    """Stop the cluster. Retained checkpoints stay: `python -m stack submit` resumes from them."""
    stop_taskmanager()
    stop_jobmanager()


def rest_url() -> str:
    """The address of the cluster's REST interface and web page, from the settings."""
    return settings().flink_url


def rest(path: str, timeout_seconds: float = 10) -> Any:
    """GET a path of the REST interface, parsed. Raises StackError when the cluster does not answer or says no."""
    try:
        answer = requests.get(rest_url() + path, timeout=timeout_seconds)
    except requests.RequestException as error:
        raise StackError(f"Flink at {rest_url()} does not answer: `python -m stack up` starts it.") from error
    if not answer.ok:
        raise StackError(f"Flink answers {answer.status_code} to {path}: {answer.text[:400]}")
    return answer.json()


def jobmanager_health() -> str:
    """Empty when the JobManager answers, else what is missing."""
    try:
        rest("/config", timeout_seconds=5)
    except StackError:
        return "does not answer yet"
    return ""


def slots() -> str:
    """How many slots are free, for people."""
    overview = rest("/overview", timeout_seconds=5)
    return f"{overview['slots-available']} of {overview['slots-total']} slots are free"


def taskmanager_health() -> str:
    """Empty when the TaskManager that runs is registered with its slots, else what is missing."""
    entry = processes.record(TASKMANAGER)
    try:
        registered = rest("/taskmanagers", timeout_seconds=5)["taskmanagers"]
    except StackError:
        return "waits for the JobManager"
    if entry and any(one["id"] == entry.identity and one["slotsNumber"] > 0 for one in registered):
        return ""
    return "is not registered at the JobManager yet"
