"""A challenger learns from moderators' verdicts: `python -m models.retrain --model toxicity`.

    verdicts (moderation_messages) + base data (as models/train.py reads them)
      -> a part of either held out -> training -> champion and challenger judged on the same -> rules of promotion
      -> models/challengers/NAME/MODEL, to run in shadow

What a verdict teaches (`label_of`): what a moderator found fine is harmless; a flag that was upheld, and an allowed
message that should have been flagged, are not. Each text counts FEEDBACK_WEIGHT times in training, since it is of the
rooms that are moderated. What is nearly the same as a held-out text is not learnt from. Nothing is promoted here.
Exit codes: 0 the challenger may be promoted, 1 it is not better or Elasticsearch is away, 2 wrong input, missing data
or too few verdicts.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from elasticsearch import ApiError, NotFoundError, TransportError
from elasticsearch.helpers import ScanError, scan

from models import data, near_duplicates
from models.monitor import (
    FIELDS,
    FLAGGED,
    MESSAGES,
    InputError,
    Message,
    judged_decision,
    moment,
    read_lines,
    readable,
    sent_at,
)
from models.policy import CLASSES
from models.promotion import decide
from models.train import SEED, TASKS, Split, Step, plain, train  # says it where libraries are missing

# isort: split
from models import runtime
from models.registry import ROOT, Registry
from services.elasticsearch import elasticsearch_client
from settings import settings

CHALLENGERS = ROOT / "models" / "challengers"
LEARNT = ("toxicity", "removal", "cyberbullying")  # no verdict tells of sentiment
LEAST_TEXTS, LEAST_OF_CLASS = 50, 10
FEEDBACK_HELD_OUT = 0.3
FEEDBACK_WEIGHT = 3


def label_of(message: Message, name: str) -> str | None:
    """What a message with a verdict teaches the model of this name; None for nothing.

    A message flagged for spam or flood alone tells nothing of its words when it is upheld. An allowed message that
    should have been flagged teaches toxicity and removal; of what kind its bullying is, nobody has said.
    """
    decision, verdict = judged_decision(message), message.get("verdict")
    classes = [reason for reason in message.get("reasons") or () if reason in CLASSES]
    flagged = decision in FLAGGED
    if verdict not in ("uphold", "overturn") or not (flagged or decision == "allow"):
        return None
    if flagged == (verdict == "overturn"):
        return TASKS[name].harmless
    if flagged and not classes:
        return None
    if name == "toxicity":
        return "toxic" if not flagged or "toxic" in classes else None
    if name == "removal":
        return "removed"
    return next((reason for reason in classes if reason in TASKS[name].classes), None)


def feedback(messages: Iterable[Message], name: str) -> data.Examples:
    """The distinct texts with what they teach; a text with as many verdicts for as against is left out.

    Raises InputError where they are too few to learn from and to judge by.
    """
    pairs = [(one["text"], label) for one in messages if (label := label_of(one, name))]
    found = data.clean(data.Examples([text for text, _ in pairs], [label for _, label in pairs]))
    counts = Counter(found.labels)
    if len(found.texts) < LEAST_TEXTS or sum(count >= LEAST_OF_CLASS for count in counts.values()) < 2:
        told = ", ".join(f"{count} {label}" for label, count in counts.most_common()) or "none"
        raise InputError(
            f"Too few verdicts to teach {name}: {len(found.texts)} distinct texts ({told}). At least {LEAST_TEXTS} are "
            f"needed, {LEAST_OF_CLASS} of each of two classes: wait until moderators have judged more, or see --since."
        )
    return found


def with_feedback(base: Split, added: data.Examples) -> Split:
    """The base data with feedback in both parts; that of the held-out part is behind the base's.

    Whole groups of near duplicates go to one side: to that of a base text that they are like, else by chance.
    """
    learnt, judged = len(base.texts), len(base.texts) + len(base.held_out_texts)
    groups = near_duplicates.groups([*base.texts, *base.held_out_texts, *added.texts])
    own = groups[judged:]
    held_out = np.isin(own, groups[learnt:judged])
    free = np.flatnonzero(~held_out & ~np.isin(own, groups[:learnt]))
    _, renumbered = np.unique(own[free], return_inverse=True)
    held_out[free] = near_duplicates.split(renumbered, [added.labels[at] for at in free], FEEDBACK_HELD_OUT, SEED)
    taught, kept = np.repeat(np.flatnonzero(~held_out), FEEDBACK_WEIGHT), np.flatnonzero(held_out)
    return Split(
        [*base.texts, *(added.texts[at] for at in taught)],
        [*base.labels, *(added.labels[at] for at in taught)],
        np.concatenate((groups[:learnt], own[taught])),
        [*base.held_out_texts, *(added.texts[at] for at in kept)],
        [*base.held_out_labels, *(added.labels[at] for at in kept)],
    )


def retrain(
    name: str,
    messages: Iterable[Message],
    challenger: str,
    where: Path | None = None,
    sample: int | None = None,
    registry: Registry | None = None,
    folder: Path | None = None,
    step: Step = plain,
) -> bool:
    """Trains the model of this name as challenger, says what came out; whether the rules would promote it.

    challenger: the folder in models/challengers
    where, sample, step: as `models.train.train` takes them
    folder: another place than models/challengers
    Raises InputError for too few verdicts, data.MissingDataError.
    """
    added, registry = feedback(messages, name), registry or Registry()
    folder = (folder or CHALLENGERS) / challenger
    parts: list[tuple[Split, Split]] = []

    def prepare(base: Split) -> Split:
        parts.append((base, with_feedback(base, added)))
        return parts[-1][1]

    train(name, where, sample, registry, step=step, prepare=prepare)
    registry.export(name, folder)
    evaluation, champion = registry.challenger(name), registry.champion_model(name)
    assert evaluation is not None  # it was recorded just now
    task, (base, split) = TASKS[name], parts[0]
    first = len(base.held_out_texts)
    for part, rows in (("base data", slice(0, first)), ("verdicts", slice(first, None))):
        truth = split.held_out_labels[rows]
        told = [f"{name}, {len(truth):,} held-out texts of the {part}, {task.headline}:"]
        for who, model in (("champion", champion), ("challenger", runtime.load(name, folder))):
            if model and truth:
                answers = [label or task.harmless for label in model.score(split.held_out_texts[rows]).labels]
                told.append(f"{who} {task.quality(truth, answers):.4f}")
        print(" ".join(told))
    decision = decide(registry.champion(name), evaluation)
    for reason in decision.reasons:
        print(reason)
    print(f"Its weights are in {folder / name}.")
    print(
        f"To run it in shadow: CROWDPULSE_MODERATION_CHALLENGER={challenger}, then start the job moderation again. "
        + (f"`python -m models.promote {name}` makes it the champion." if decision.promote else "It is not promoted.")
    )
    return decision.promote


def verdicts(source: str, since: datetime | None) -> list[Message]:
    """The messages with a verdict, of Elasticsearch or of a file of JSON lines, sent at this time or later.

    Raises InputError; ApiError, TransportError and ScanError of Elasticsearch.
    """
    if source != "elasticsearch":
        known = read_lines(Path(source))
        return [one for one in known if one.get("verdict") and (since is None or sent_at(one) >= since)]
    wanted: list[dict[str, Any]] = [{"exists": {"field": "verdict"}}, {"exists": {"field": "decision"}}]
    if since:
        wanted.append({"range": {"server_time": {"gte": since.isoformat()}}})
    query = {"query": {"bool": {"filter": wanted}}, "_source": list(FIELDS)}
    with elasticsearch_client(30) as client:
        try:
            hits = list(scan(client, index=settings().prefix + MESSAGES, query=query))
        except NotFoundError:
            raise InputError(
                f"There is no index {settings().prefix + MESSAGES} yet, so there are no verdicts."
            ) from None
    return sorted(readable([hit["_source"] for hit in hits]), key=lambda one: str(one["message_id"]))


def challenger_name(text: str) -> str:
    """A name that the setting moderation_challenger takes. Raises argparse.ArgumentTypeError."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name: small letters, digits, _, . and -")
    return text


def arguments() -> argparse.ArgumentParser:
    """The options; those of `python -m models.flow` too."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--model", choices=LEARNT, default="toxicity", help="what learns (toxicity)")
    parser.add_argument(
        "--source", default="elasticsearch", metavar="FILE.jsonl", help="where the verdicts are (elasticsearch)"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help=f"folder of the data sets (default: {data.folder()})")
    return parser


def main(given: list[str] | None = None) -> int:
    """Returns the exit code, see above."""
    parser = argparse.ArgumentParser(
        prog="python -m models.retrain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[arguments()],
    )
    parser.add_argument("--since", type=moment, metavar="TIME", help="only messages sent then or later")
    parser.add_argument(
        "--name",
        type=challenger_name,
        default=f"feedback-{datetime.now(UTC):%Y%m%d}",
        help="folder of the challenger in models/challengers (feedback-<date>)",
    )
    parser.add_argument("--sample", type=int, metavar="N", help="learn from about N base texts only, for a try")
    options = parser.parse_args(given)
    try:
        messages = verdicts(options.source, options.since)
        return 0 if retrain(options.model, messages, options.name, options.data, options.sample) else 1
    except (InputError, data.MissingDataError) as error:
        print(error, file=sys.stderr)
        return 2
    except (ApiError, TransportError, ScanError) as error:
        where = settings().elasticsearch_hosts
        print(f"Elasticsearch at {where} does not do its part ({type(error).__name__}).", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
