"""Brings docker-compose.yml up on this machine, looks that all of it works, and takes it down: `make test-compose`.

Where no engine answers, one is started for the test alone, in a folder that is removed afterwards. Where images cannot
be pulled, a Debian of this machine is the base of ours, and tests/compose/override.yml puts stand-ins made from the
local stack's own parts in the place of Kafka, Elasticsearch and Kibana. What took long to get is kept in .stack/tools.

`python -m tests.compose.run PROFILES …` brings up others than it does by itself; `all chat`: one after the other,
`check,chat`: both at once.

Exit codes: 0 all checks passed, 1 one has not; where no engine starts or a tool is missing 1 too, or 0 with
CROWDPULSE_COMPOSE_OPTIONAL=1.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from settings import ROOT, settings
from stack import demo, java, layout, maven
from stack.errors import StackError
from tests.moderation_service import ABUSE, Person

COMPOSE = "v2.40.3"
COMPOSE_MODULE = "github.com/docker/compose/v2"
COMPOSE_SUITE = "trixie"  # the first Debian with a Compose that is new enough
DEBIAN_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
BASE_PACKAGES = "ca-certificates,netbase,python3,python3-venv,tzdata"
SUITE = "bookworm"
HERE = Path(__file__).parent
# What this machine's own package managers are told: certificates, proxies, mirrors. It goes into the base, which is
# never published.
OF_THE_MACHINE = (
    "/etc/pip.conf",
    "/etc/apt/sources.list.d/debian.sources",
    *map(str, Path("/etc/apt/apt.conf.d").glob("99*")),
    *map(str, Path("/usr/local/share/ca-certificates").glob("*.crt")),
    "/root/.m2/settings.xml",
    "/root/.npmrc",
)
MAYBE_EMPTY = demo.MAYBE_EMPTY["synthetic"] | {"rejected_documents", "model_monitoring"}
PROFILES = ("all", "check", "chat")
# What is brought up: together what fits into this machine, since each start takes a minute.
RUNS = ("all", "check,chat")
HEALTH = {"job_metrics", "index_metrics"}
# How the names of the indices begin that only this profile fills.
INDICES_OF = {"check": "background_", "chat": "moderation_"}
# Which documents go on growing, by profile.
WATCHED = {
    "all": ("wiki_edits", "social_posts"),
    "check": ("background_images",),
    "chat": ("moderation_messages",),
}
MEMORY_LIMIT_BYTES = 8 * 1024**3
# Ample: it waits no longer than it has to, and CI machines are busy.
UP_SECONDS = 900
DOCUMENTS_SECONDS = 400
RESTART_SECONDS = 300
CHAT_SECONDS = 90


class CannotTry(Exception):
    """There is no engine, or no tool, to try it with, and none can be had; the message says why."""


class Failed(Exception):
    """A step that the others need has failed; the message says how."""


class Report:
    """What is said: a line a step with its seconds, a line a check, and how many checks passed."""

    def __init__(self) -> None:
        self.passed = self.failed = 0
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        with self._lock:
            print(f"{time.monotonic() - self._began:5.0f} s  {text}", flush=True)

    def check(self, what: str, problem: str = "") -> bool:
        """One check: passed where there is no problem."""
        self.passed, self.failed = self.passed + (not problem), self.failed + bool(problem)
        self.say(f"FAILED  {what}: {problem}" if problem else f"passed  {what}")
        return not problem

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        self.say(f"{what} …")
        yield
        self.say(f"{what}: {time.monotonic() - began:.0f} s")


def run(command: Sequence[str | Path], seconds: float, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. Raises Failed with the end of what it said, also after `seconds`."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=seconds, check=False, **options
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"`{' '.join(words[:4])} …` took over {seconds:.0f} s.") from error
    except OSError as error:
        raise Failed(f"{words[0]} cannot be run: {error.strerror}.") from error
    if done.returncode:
        raise Failed(f"`{' '.join(words[:6])} …` failed:\n{(done.stdout + done.stderr).strip()[-3000:]}")
    return done


def wait(what: str, seconds: float, problem: Callable[[], str], report: Report) -> str:
    """Wait until there is no problem, telling of a new one; returns the last one, empty when there is none left."""
    deadline, said = time.monotonic() + seconds, ""
    while now := problem():
        if now != said:
            report.say(f"        {what}: {now}")
            said = now
        if time.monotonic() > deadline:
            return f"{now}, after {seconds:.0f} s"
        time.sleep(3)
    return ""


# --- The engine. ---


@contextmanager
def engine(report: Report, folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which `docker` reaches an engine: one that answers, else our own until the end.

    Raises CannotTry.
    """
    if not shutil.which("docker"):
        raise CannotTry("There is no `docker` on PATH")
    if subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False).returncode == 0:
        report.say("An engine answers: it is used.")
        yield dict(os.environ)
        return
    if not shutil.which("dockerd") or os.geteuid() != 0:
        raise CannotTry("No Docker engine answers, and only root with dockerd (Debian: docker.io) can start one")
    environment = os.environ | {"DOCKER_HOST": f"unix://{folder / 'docker.sock'}", "DOCKER_CONFIG": str(folder)}
    command = ["dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec"]
    command += ["-H", environment["DOCKER_HOST"], "--pidfile", folder / "pid"]
    with network_as_before(), (folder / "dockerd.log").open("w") as log:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            for _ in range(60):
                info = subprocess.run(["docker", "info"], env=environment, capture_output=True, check=False)
                if process.poll() is not None or info.returncode == 0:
                    break
                time.sleep(0.5)
            else:
                process.kill()
            if process.poll() is not None:
                last = (folder / "dockerd.log").read_text().strip().splitlines()[-1:]
                raise CannotTry(f"No Docker engine answers, and dockerd does not start here ({' '.join(last)[-300:]})")
            yield environment
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(10)


@contextmanager
def network_as_before() -> Iterator[None]:
    """Takes back what an engine leaves in the machine: its bridge, its packet filter rules, forwarding, its key."""
    forward, key = Path("/proc/sys/net/ipv4/ip_forward"), Path("/etc/docker/key.json")
    bridge = Path("/sys/class/net/docker0")
    before = (forward.read_text(), key.exists(), bridge.exists())
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False).stdout
    try:
        yield
    finally:
        if not before[2]:
            if bridge.exists():
                subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True, check=False)
            empty = "".join(f"*{table}\nCOMMIT\n" for table in ("filter", "nat"))
            subprocess.run(["iptables-restore"], input=empty + rules, text=True, capture_output=True, check=False)
        forward.write_text(before[0])
        if not before[1]:
            key.unlink(missing_ok=True)


# --- What is built. ---


def tools() -> Path:
    folder = layout.state_dir() / "tools"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def compose_program(report: Report) -> list[str]:
    """The command of Docker Compose v2: the plugin of `docker`, else the program of a newer Debian, else built with Go.

    What was fetched or built is kept. Raises CannotTry.
    """
    if is_new_enough("docker", "compose"):
        return ["docker", "compose"]
    program = tools() / "compose" / "docker-compose"
    if program.exists() and is_new_enough(program):
        return [str(program)]
    program.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with report.step(f"Fetching Docker Compose of Debian {COMPOSE_SUITE}"):
                fetched = compose_of_debian(Path(folder))
        except Failed as failure:
            report.say(f"It cannot be fetched: {failure}")
            fetched = compose_of_go(report, Path(folder))
        shutil.move(fetched, program)
    if not is_new_enough(program):
        raise CannotTry(f"{program} is no Docker Compose 2.24 or later")
    return [str(program)]


def is_new_enough(*program: str | Path) -> bool:
    """Whether this is Docker Compose 2.24 or later."""
    try:
        found = subprocess.run([*program, "version", "--short"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    version = re.match(r"v?(\d+)\.(\d+)", found.stdout)
    return found.returncode == 0 and version is not None and (int(version[1]), int(version[2])) >= (2, 24)


def compose_of_debian(folder: Path) -> Path:
    """Unpacked from the package of another release than this machine's; apt's own lists stay as they are."""
    # Where this machine's apt has its packages from.
    told = run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], 60).stdout.split()
    if not told:
        raise Failed("apt names no source of packages.")
    sources, lists, cache = folder / "sources.list", folder / "lists", folder / "cache"
    sources.write_text(f"deb [signed-by={DEBIAN_KEYS}] {told[0]} {COMPOSE_SUITE} main\n")
    for needed in (lists, cache):
        needed.mkdir()
    apt = ["apt-get", "-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=/dev/null"]
    apt += ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}", "-o", "APT::Sandbox::User=root"]
    run([*apt, "-o", "Acquire::Languages=none", "update"], 300, cwd=folder)
    run([*apt, "download", "docker-compose"], 300, cwd=folder)
    run(["dpkg-deb", "--extract", *folder.glob("docker-compose_*.deb"), folder / "unpacked"], 60)
    return folder / "unpacked/usr/libexec/docker/cli-plugins/docker-compose"


def compose_of_go(report: Report, folder: Path) -> Path:
    """Built from its Go module, which takes minutes."""
    if not shutil.which("go"):
        raise CannotTry("Docker Compose 2.24 or later is missing, and so is Go, with which it could be built")
    with report.step(f"Building Docker Compose {COMPOSE} from its Go module"):
        environment = os.environ | {"CGO_ENABLED": "0", "GOCACHE": f"{folder}/go-cache", "GOPATH": f"{folder}/path"}
        environment |= {"GOFLAGS": "-buildvcs=false -modcacherw"}
        source, built = folder / "compose", folder / "docker-compose"
        source.mkdir()
        flags = f"-s -w -X {COMPOSE_MODULE}/internal.Version={COMPOSE}"
        for words in (
            ["mod", "init", "compose"],
            ["get", f"{COMPOSE_MODULE}/cmd@{COMPOSE}"],
            ["build", "-trimpath", "-ldflags", flags, "-o", str(built), f"{COMPOSE_MODULE}/cmd"],
        ):
            run(["nice", "-n", "10", "go", *words], 900, cwd=source, env=environment)
    return built


def base_archive(report: Report, folder: Path) -> Path:
    """A Debian with Python, as python:3.11-slim-bookworm is, with what this machine needs to reach its registries."""
    own = sorted(Path(name) for name in OF_THE_MACHINE if Path(name).is_file())
    content = hashlib.sha256((SUITE + BASE_PACKAGES).encode())
    for file in own:
        content.update(str(file).encode() + file.read_bytes())
    archive = tools() / f"base-{content.hexdigest()[:16]}.tar.gz"
    if archive.exists():
        return archive
    if not shutil.which("debootstrap"):
        raise CannotTry("debootstrap is missing (Debian: apt-get install debootstrap), which makes the base image")
    with report.step("Making a Debian as base image"):
        root = folder / "base"
        run(["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", SUITE, root], 600)
        for file in own:
            target = root / file.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        if (root / "etc/apt/sources.list.d/debian.sources").exists():
            (root / "etc/apt/sources.list").write_text("")
        (root / "etc/apt/apt.conf.d/docker-clean").write_text(
            'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };\n'
        )
        run(["chroot", root, "update-ca-certificates"], 120)
        for leftover in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(root / leftover)
            (root / leftover / "partial").mkdir(parents=True)
        temporary = archive.with_suffix(".tmp")
        run(["tar", "--use-compress-program=gzip -1", "-C", root, "-cf", temporary, "."], 300)
        shutil.rmtree(root)
        temporary.replace(archive)
    return archive


# --- The test. ---


class Compose:
    """Our project on an engine: docker-compose.yml with the override, and a name of its own; `profiles` with commas."""

    def __init__(self, program: list[str], environment: Mapping[str, str], name: str, profiles: str) -> None:
        self.name = name
        self.profiles = profiles.split(",")
        self.environment = {**environment, "COMPOSE_PROFILES": profiles}
        self._command = [*program, "-p", name, "-f", str(ROOT / "docker-compose.yml")]
        self._command += ["-f", str(HERE / "override.yml")]

    def __call__(self, *words: str, seconds: float) -> str:
        """Run a command of Compose; what it printed. Raises Failed."""
        return run([*self._command, *words], seconds, cwd=ROOT, env=self.environment).stdout

    def docker(self, *words: str, seconds: float = 60) -> str:
        return run(["docker", *words], seconds, env=self.environment).stdout

    def containers(self) -> dict[str, dict[str, Any]]:
        """The containers by service: `State`, `Health`, `ExitCode` and more."""
        lines = self("ps", "--all", "--format", "json", seconds=60).splitlines()
        return {entry["Service"]: entry for entry in map(json.loads, lines)}

    def jobs(self) -> set[str]:
        """The jobs that the profile's services submit."""
        services = json.loads(self("config", "--format", "json", seconds=60))["services"]
        commands = [one.get("command") or [] for one in services.values()]
        return {job for command in commands if "submit" in command for job in command[command.index("submit") + 1 :]}

    def indices(self) -> list[str]:
        """The indices that the profiles fill."""
        templates = {file.stem for file in (ROOT / "kibana/index_templates").glob("[a-z]*.json")} - MAYBE_EMPTY
        own = {profile: {name for name in templates if name.startswith(start)} for profile, start in INDICES_OF.items()}
        own["all"] = templates - set().union(*own.values())
        return sorted(HEALTH.union(*(own[profile] for profile in self.profiles)))

    def url(self, service: str, port: int) -> str:
        """Where a port of a service is published."""
        return "http://" + self("port", service, str(port), seconds=30).strip()


def unready(compose: Compose) -> str:
    """What is not yet healthy, or has not yet ended well. Raises Failed for what has ended badly."""
    waiting = []
    for name, entry in sorted(compose.containers().items()):
        if entry["State"] == "exited":
            if entry["ExitCode"]:
                raise Failed(f"{name} ended with {entry['ExitCode']}:\n{logs(compose, name)}")
        elif entry["Health"] != "healthy":
            waiting.append(name)
    return "waiting for " + ", ".join(waiting) if waiting else ""


def logs(compose: Compose, service: str) -> str:
    """The end of what a service said."""
    with suppress(Failed):
        return compose("logs", "--no-color", "--no-log-prefix", "--tail", "25", service, seconds=60)[-4000:]
    return "(no log)"


def count(elasticsearch: str, index: str, query: str = "*") -> int:
    """The documents of an index that a query finds; 0 while there is none."""
    try:
        answer = requests.get(f"{elasticsearch}/{index}/_count", params={"q": query}, timeout=10)
        return int(answer.json().get("count", 0))
    except (requests.RequestException, ValueError):
        return 0


def archived(compose: Compose) -> int:
    """How many files the background check has written to S3."""
    address = f"http://127.0.0.1:9500/{settings().s3_bucket}?list-type=2&prefix=background/"
    with suppress(Failed):
        return compose("exec", "-T", "moto", "curl", "-fsS", address, seconds=60).count("<Key>")
    return 0


def running_jobs(flink: str) -> dict[str, str]:
    """The ids of the running jobs by name; a job of which a task does not run counts as not running."""
    try:
        overview = requests.get(f"{flink}/jobs/overview", timeout=10).json()["jobs"]
    except (requests.RequestException, ValueError, KeyError):
        return {}
    return {
        job["name"]: job["jid"]
        for job in overview
        if job["state"] == "RUNNING" and job["tasks"]["running"] == job["tasks"]["total"]
    }


def check_chat(compose: Compose, elasticsearch: str, report: Report) -> None:
    """The chat as people use it: the page, the key, a message that is decided, the moderators' queue, the index."""
    address = compose.url("moderation", 9095)
    page = requests.get(address, timeout=10)
    report.check("the chat page answers", "" if page.ok and "<title>" in page.text else f"{page.status_code}")
    chat, moderator = (entry.split(":")[1] for entry in compose.environment["MODERATION_API_KEYS"].split(","))
    sent: list[str] = []

    def undecided() -> str:
        with requests.Session() as browser:
            signed_in = browser.post(f"{address}/v1/session", json={"key": chat}, timeout=10)
            if not signed_in.ok:
                return f"signing in: {signed_in.status_code} {signed_in.text[:200]}"
            cookie = "; ".join(f"{one.name}={one.value}" for one in browser.cookies)
        number = len(sent)
        try:
            with connect(f"{address.replace('http', 'ws', 1)}/ws", additional_headers={"Cookie": cookie}) as connection:
                person = Person(connection, "test", f"tester {number}")
                sent.append(person.send(ABUSE))
                person.hear("decision", sent[-1], "flagged")
        except (OSError, WebSocketException) as error:
            return f"not decided: {type(error).__name__}"
        return ""

    began = time.monotonic()
    problem = wait("a message over the WebSocket", CHAT_SECONDS, undecided, report)
    report.check(f"an abusive message is flagged ({time.monotonic() - began:.1f} s with signing in)", problem)

    statuses = {}
    for name, key in {"no": "", "the chat's": chat, "the moderator's": moderator}.items():
        answer = requests.get(f"{address}/v1/queue", headers={"X-API-Key": key} if key else {}, timeout=10)
        statuses[name] = answer.status_code
    expected = {"no": 401, "the chat's": 403, "the moderator's": 200}
    report.check("the queue is for the moderator's key only", "" if statuses == expected else f"{statuses}")
    shown = {message["message_id"] for message in answer.json()["messages"]} if answer.ok else set()
    report.check("the moderator's queue has the message", "" if sent and sent[-1] in shown else f"{len(shown)} others")

    def not_indexed() -> str:
        return "" if count(elasticsearch, "moderation_messages", f'message_id:"{sent[-1]}"') else "not there"

    problem = wait("the message in its index", CHAT_SECONDS, not_indexed, report) if sent else "none was sent"
    report.check("the message is in moderation_messages", problem)


def check_file(program: list[str], environment: Mapping[str, str], report: Report) -> None:
    """What docker-compose.yml says by itself: loopback only, memory, health checks, passwords asked for."""
    command = [*program, "-f", str(ROOT / "docker-compose.yml"), "config", "--format", "json"]
    services: dict[str, dict[str, Any]] = {}
    for profile in PROFILES:
        chosen = {**environment, "COMPOSE_PROFILES": profile}
        started = json.loads(run(command, 60, cwd=ROOT, env=chosen).stdout)["services"]
        limits = {name: int(one.get("mem_limit", MEMORY_LIMIT_BYTES)) for name, one in started.items()}
        submitting = [limit for name, limit in limits.items() if name.startswith("jobs-") or name == "setup"]
        total = sum(limits.values()) - sum(submitting) + max(submitting)  # one after the other
        said = f"{total / 1024**2:,.0f} MB"
        too_much = said if total > MEMORY_LIMIT_BYTES else ""
        report.check(f"the limits on memory of `{profile}` add up to {said}, within 8 GB", too_much)
        services |= started
    open_ports = [
        name for name, one in services.items() for port in one.get("ports", []) if port.get("host_ip") != "127.0.0.1"
    ]
    report.check("every port is published on 127.0.0.1 only", ", ".join(open_ports))
    unchecked = [name for name, one in services.items() if one.get("restart") != "no" and "healthcheck" not in one]
    report.check("every service that stays has a health check", ", ".join(unchecked))
    without = {key: value for key, value in environment.items() if not key.endswith("_PASSWORD")}
    done = subprocess.run(command, cwd=ROOT, env=without, capture_output=True, text=True, timeout=60, check=False)
    asks = done.returncode != 0 and "start.sh" in done.stderr
    report.check("without passwords it does not start, and names ./start.sh", "" if asks else done.stderr[-300:])


def check_running(compose: Compose, report: Report) -> None:
    """The whole of profiles, started: health, documents, dashboards, a second `up`, a restart."""
    began = time.monotonic()
    named = "profile " + " and ".join(compose.profiles)
    try:
        compose("up", "--detach", "--no-build", seconds=UP_SECONDS)
    except Failed as failure:
        report.check(f"docker compose up, {named}", str(failure))
        for name, entry in compose.containers().items():
            if entry["Health"] == "unhealthy" or entry["ExitCode"]:
                report.say(f"--- {name}\n{logs(compose, name)}")
        return
    report.check(f"docker compose up, {named} ({time.monotonic() - began:.0f} s)")
    try:
        problem = wait("health", UP_SECONDS, lambda: unready(compose), report)
    except Failed as failure:
        problem = str(failure)
    containers = compose.containers()
    healthy = sum(entry["Health"] == "healthy" for entry in containers.values())
    if not report.check(f"{healthy} services healthy, {len(containers) - healthy} ended well", problem):
        return

    elasticsearch, flink = compose.url("elasticsearch", 9200), compose.url("jobmanager", 9081)
    jobs = running_jobs(flink)
    submitted, expected = compose.jobs(), compose.indices()
    report.check(f"{len(submitted)} jobs run", "" if set(jobs) == submitted else f"running: {sorted(jobs)}")

    def empty() -> str:
        return ", ".join(index for index in expected if not count(elasticsearch, index))

    problem = wait("no documents yet in", DOCUMENTS_SECONDS, empty, report)
    total = sum(count(elasticsearch, index) for index in expected)
    report.check(f"documents in all of {len(expected)} indices ({total:,} in all)", problem)

    if "chat" in compose.profiles:
        check_chat(compose, elasticsearch, report)
    if "check" in compose.profiles:
        problem = wait("the archive", DOCUMENTS_SECONDS, lambda: "" if archived(compose) else "no file yet", report)
        report.check(f"{archived(compose)} files of background checks are in S3", problem)

    found = requests.get(f"{compose.url('kibana', 5601)}/api/saved_objects/_find?type=dashboard&per_page=1", timeout=10)
    dashboards = found.json().get("total", 0) if found.ok else 0
    report.check(f"{dashboards} dashboards are loaded", "" if dashboards else found.text[:300])
    view = requests.get(f"{compose.url('live-view', 9090)}/healthz", timeout=10)
    report.check("the live view answers", "" if view.ok else f"{view.status_code} {view.text[:300]}")
    usage = compose.docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}")
    for line in sorted(usage.splitlines()):
        report.say("        " + line.removeprefix(compose.name + "-"))

    compose("up", "--detach", "--no-build", seconds=UP_SECONDS)
    wait("health", UP_SECONDS, lambda: unready(compose), report)
    again = running_jobs(flink)
    report.check("a second `up` submits no job twice", "" if again == jobs else f"{jobs} became {again}")

    watched = [index for profile in compose.profiles for index in WATCHED[profile]]
    compose("restart", "taskmanager", seconds=120)
    before = {index: count(elasticsearch, index) for index in watched}

    def stands() -> str:
        if set(running_jobs(flink)) != submitted:
            return "the jobs do not run again yet"
        return ", ".join(index for index in watched if count(elasticsearch, index) <= before[index])

    problem = wait("after the restart of the TaskManager", RESTART_SECONDS, stands, report)
    report.check("after a restart of the TaskManager the jobs run and documents grow", problem)


def check_leaves_nothing(compose: Compose, report: Report) -> None:
    """Down, with its volumes: no container, volume or network of the project is left."""
    compose("down", "--volumes", "--remove-orphans", "--timeout", "20", seconds=180)
    label = f"label=com.docker.compose.project={compose.name}"
    left = [
        name
        for words in (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
        for name in compose.docker(*words, "--quiet", "--filter", label).split()
    ]
    report.check("down leaves no container, volume or network", ", ".join(left))


def test(report: Report, folder: Path, cleanup: ExitStack) -> None:
    """All of it. Raises CannotTry, Failed and StackError."""
    environment = cleanup.enter_context(engine(report, folder))
    name = f"crowdpulse-test-{secrets.token_hex(3)}"
    newer = java.for_elasticsearch_9()
    environment |= {
        "DOCKER_BUILDKIT": "0",  # no BuildKit is at hand for an engine from Debian
        "CROWDPULSE_TAG": name,
        "STANDIN_BASE": f"crowdpulse-base:{name}",
        "STANDIN_JARS": str(layout.jars_dir()),
        "STANDIN_DOCKERFILE": str(HERE / "Dockerfile"),
        "STANDIN_ELASTICSEARCH": maven.elasticsearch_version(),
        "STANDIN_JAVA": str(newer.home if newer else folder),
        **{key: secrets.token_hex(16) for key in ("ELASTIC_PASSWORD", "KIBANA_PASSWORD", "KIBANA_ENCRYPTION_KEY")},
        "MODERATION_API_KEYS": f"chat:{secrets.token_hex(16)},moderator:{secrets.token_hex(16)}:moderator",
    }
    tag = f"crowdpulse:{name}"

    def images() -> None:
        archive = base_archive(report, folder)
        run(["docker", "import", archive, environment["STANDIN_BASE"]], 300, env=environment)
        with report.step("Building our image"):
            base = f"BASE={environment['STANDIN_BASE']}"
            command = ["docker", "build", "--quiet", "-f", str(ROOT / "docker/Dockerfile"), "-t", tag]
            run([*command, "--build-arg", base, ROOT], 1200, env=environment)

    def parts() -> list[str]:
        maven.fetch()
        return compose_program(report)

    with ThreadPoolExecutor(2) as pool:
        building, program_of = pool.submit(images), pool.submit(parts)
        building.result()
        program = program_of.result()
    compose = Compose(program, environment, name, "all")

    def remove_images() -> None:
        tags = [tag, f"crowdpulse-standin:{name}", environment["STANDIN_BASE"]]
        subprocess.run(["docker", "rmi", *tags], env=environment, capture_output=True, check=False)

    cleanup.callback(remove_images)
    check_file(program, environment, report)
    with report.step("docker compose build"):
        compose("build", "jobmanager", seconds=600)
        compose("build", "kafka", seconds=600)
    size = int(compose.docker("image", "inspect", "--format", "{{.Size}}", tag))
    base = int(compose.docker("image", "inspect", "--format", "{{.Size}}", environment["STANDIN_BASE"]))
    report.say(f"Our image has {size / 1e6:,.0f} MB, {base / 1e6:,.0f} MB of them are the base.")
    for profiles in sys.argv[1:] or RUNS:
        compose = Compose(program, environment, name, profiles)
        try:
            check_running(compose, report)
        finally:
            check_leaves_nothing(compose, report)


def main() -> int:
    report = Report()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that it is taken down
    try:
        # Not in /tmp where that is memory; short, since a socket's path is.
        with tempfile.TemporaryDirectory(prefix="crowdpulse-", dir="/var/tmp") as folder, ExitStack() as cleanup:
            test(report, Path(folder), cleanup)
    except CannotTry as problem:
        optional = os.environ.get("CROWDPULSE_COMPOSE_OPTIONAL") == "1"
        print(f"{problem}: docker-compose.yml was not tried.")
        return 0 if optional else 1
    except (Failed, StackError) as problem:
        report.check("the test itself", str(problem))
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
