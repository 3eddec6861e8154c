"""The table of the last full run of the fault tests: docs/reliability.md, written by `make faults`."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime

from settings import ROOT
from tests.faults.run import PER_SECOND, Outcome

FILE = ROOT / "docs" / "reliability.md"
TEXT = """\
# Reliability: what the fault tests show

Written by `make faults`; the figures are of its last run: {when}, commit {commit}, {cores} cores, {memory} GB of
memory, seed {seed}, {events:,} records of all suites (55 % Wikipedia, 25 % posts, 15 % chat, 5 % Instagram).

All nine jobs run on the local stack, one story is told at up to {rate} records a second, one fault after another comes
amid it, and after each the accounts are made of all that was sent since the beginning: Kafka has each record once;
each is one document, one dead letter or one late event; and the sums (activity, bots, intents, users, hashtags,
influencers, alerts, minutes of chat, background checks and the others) equal a recount of the records in plain Python.
A case in which anything is lost or doubled fails, and a run in which one fails leaves this file as it was: in the run
below nothing was. How: tests/faults/.

| fault | records | fault, s | documents again, s | accounts right, s | restarts | documents | dead letters | late |
|---|---|---|---|---|---|---|---|---|
{rows}

- fault: from its beginning until what was away is up again by its own health check (of the JobManager: until all jobs
  are restored). Documents again: from then until wiki_edits, social_posts and moderation have each written a document.
- accounts right: from the last record sent until all accounts agree, which includes reading everything back.
- restarts: of all jobs that run then, since each was submitted.
- Documents (of all kinds, sums too), dead letters and late events (late): what the indices hold of the run so far.
- The topics `dead_letters` and `late_events` are written at least once, so after a restore they may tell of a record
  twice, with the same place; their indices hold it once.
- Pictures are not among the records: tests/e2e/test_background_check.py kills Flink amid those.
"""


@dataclass
class Report:
    """The rows of a run."""

    seed: int
    rows: list[tuple[str, Outcome]] = field(default_factory=list)

    def add(self, said: str, outcome: Outcome) -> str:
        """Keep what a case has shown; returns it as a sentence."""
        self.rows.append((said, outcome))
        recovery = (
            "" if outcome.recovery_seconds is None else f"documents again after {outcome.recovery_seconds:.1f} s, "
        )
        return (
            f"{outcome.events:,} records, fault {outcome.fault_seconds:.1f} s, {recovery}"
            f"accounts right after {outcome.accounted_seconds:.1f} s, {outcome.restarts} restarts"
        )

    def write(self) -> None:
        """Write the document."""
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()
        text = TEXT.format(
            when=datetime.now(UTC).strftime("%Y-%m-%d"),
            commit=commit or "unknown",
            cores=os.cpu_count(),
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**9,
            seed=self.seed,
            rate=PER_SECOND,
            events=sum(outcome.events for _, outcome in self.rows),
            rows="\n".join(_row(said, outcome) for said, outcome in self.rows),
        )
        FILE.write_text(text, encoding="utf-8")


def _row(said: str, outcome: Outcome) -> str:
    recovery = "–" if outcome.recovery_seconds is None else f"{outcome.recovery_seconds:.1f}"
    return (
        f"| {said} | {outcome.events:,} | {outcome.fault_seconds:.1f} | {recovery} | {outcome.accounted_seconds:.1f} "
        f"| {outcome.restarts} | {outcome.documents:,} | {outcome.dead_letters:,} | {outcome.late_events:,} |"
    )
