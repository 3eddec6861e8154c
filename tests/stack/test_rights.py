"""deploy/security allows what the declared tables say that jobs and producers do, and to jobs no topic more."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from settings import ROOT
from stack import kafka, lineage, security

TOPICS = {topic.name for topic in kafka.topics()}


def allowed(role: str, operation: str) -> set[str]:
    """The topics on which a role may do this."""
    return {
        topic
        for who, kind, name, begins_so, what in security.acls("")
        for topic in TOPICS
        if (who, kind, what) == (role, "topic", operation) and (topic.startswith(name) if begins_so else topic == name)
    }


def edges() -> Iterator[lineage.Edge]:
    for suite in lineage.edges_by_suite().values():
        yield from suite


def test_jobs_may_read_and_write_just_their_topics() -> None:
    declared = lineage.tables()
    reads = {name for job in lineage.jobs().values() for table in job.reads for _kind, name in declared[table].nodes}
    writes = {
        name
        for job in lineage.jobs().values()
        for table in job.writes
        for kind, name in declared[table].nodes
        if kind == "topic"
    }
    assert allowed("job", "Read") >= reads
    assert allowed("job", "Write") == writes
    # What nobody reads yet is of the same streams (wiki_*); what is derived is only read by who needs it.
    assert {topic for topic in allowed("job", "Read") - reads if not topic.startswith("wiki_")} == set()


def test_producers_may_write_what_they_fill() -> None:
    fills = {
        topic
        for (kind, program), (target, topic) in edges()
        if kind == "program" and program.startswith("producers/") and target == "topic"
    }
    assert allowed("producer", "Write") >= fills
    derived = {topic for (kind, _job), (target, topic) in edges() if kind == "job" and target == "topic"}
    assert not allowed("producer", "Write") & derived


def test_every_index_may_be_read_and_jobs_may_write_theirs() -> None:
    def names(role: str, privilege: str) -> set[str]:
        rights = security.elasticsearch_role(role)  # type: ignore[arg-type]
        assert rights is not None
        patterns = [name for entry in rights["indices"] if privilege in entry["privileges"] for name in entry["names"]]
        return {index for index in indices if any(fnmatchcase(index, pattern) for pattern in patterns)}

    indices = {file.stem for file in (ROOT / "kibana/index_templates").glob("*.json")}
    by_jobs = {index for (kind, _job), (target, index) in edges() if kind == "job" and target == "index"}
    # The sink itself writes this one, which is why no table declares it.
    by_jobs.add("rejected_documents")
    assert names("job", "index") == by_jobs
    assert names("service", "index") == indices - by_jobs
    assert names("reader", "read") == names("admin", "all") == indices
    assert names("job", "read") == names("reader", "index") == set()


def test_no_role_may_do_all_in_kafka_or_change_rights() -> None:
    given = list(security.acls(""))
    assert {role for role, *_rest in given} == set(security.ROLES)
    assert not [entry for entry in given if entry[1] == "cluster" or entry[4] == "All"]
