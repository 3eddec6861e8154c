"""Watches the models: how the messages of now differ from those before, and what moderators say of the decisions.

    python -m models.monitor                              the last day against the seven days before it
    python -m models.monitor --hours 1 --reference-hours 24
    python -m models.monitor --source decided.jsonl       the newest day of a file of documents instead

Reads decided messages (the documents of the index moderation_messages) and writes one document per figure to the index
model_monitoring. Each figure has a threshold; one beyond it is an alert: a line in the log, in one POST to the webhook
of the settings, and the exit code. docs/model_monitoring.md tells what the figures mean.

Drift is judged by permutation. The unit is what one user wrote in one hour of a window, since that hangs together.
Units are dealt out anew to the two windows, PERMUTATIONS times; `value` is the distance of the windows less its mean
over these, so that it is about 0 without drift however few messages there are. The threshold is the larger of two: the
least that matters (EFFECTS), and what chance reaches in one run of a hundred in any of the figures (Westfall and Young
1993, max-T).
Exit codes: 0 no alert, 1 Elasticsearch is away or refuses the figures, 2 wrong input or too few messages, 3 alerts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import orjson
import requests
from elasticsearch import ApiError, Elasticsearch, NotFoundError, TransportError
from elasticsearch.helpers import BulkIndexError, bulk
from numpy.typing import NDArray

from models import features
from redaction import hide_secrets
from services.elasticsearch import elasticsearch_client
from settings import settings

MESSAGES, FIGURES = "moderation_messages", "model_monitoring"
MOST_MESSAGES = 10_000  # of a window; of more, so many by chance
LEAST_MESSAGES, LEAST_UNITS = 100, 10
LEAST_VERDICTS = 20

PERMUTATIONS = 499
FALSE_ALARMS = 0.01  # of the runs without drift
# The least distance that matters. PSI: over .1 a moderate and over .25 a large change, by the usual rule. Cohen's h: .2
# is a small effect (Cohen 1988), as from 2 % to 6 % or from 50 % to 60 %. Wasserstein: in the score's own units.
# Vocabulary: Jensen-Shannon divergence in bits, 0 to 1; .1 is a fifth of the topic's words replaced, two data sets of
# tweets differ by .04 to .11.
EFFECTS = {
    "text_length": 0.2,
    "language": 0.2,
    "vocabulary": 0.1,
    "label": 0.2,
    "score_psi": 0.2,
    "score_wasserstein": 0.05,
    "class_share": 0.2,
    "decision_share": 0.2,
}
WORD_BINS, SCORE_BINS = 1024, 50
SCORES = {"toxic": (0.0, 1.0), "removed": (0.0, 1.0), "bullying": (0.0, 1.0), "sentiment": (-1.0, 1.0)}
DECISIONS = ("allow", "flag", "hold", "unscored")
FLAGGED = ("flag", "hold")

PRECISION_FROM = 0.5  # an alert when it is surely lower,
MISSED_UP_TO = 0.05  # or when more of the allowed messages than this should surely have been flagged
NORMAL_95 = 1.96

WEBHOOK_ATTEMPTS, WEBHOOK_TIMEOUT_SECONDS = 3, 5

FIELDS = (
    "message_id", "room", "user_name", "text", "server_time", "decision", "reasons", "toxic", "removed", "bullying",
    "cyberbullying", "sentiment", "language", "copies", "model_version", "verdict", "decision_at_verdict", "is_sampled",
)  # fmt: skip
TEXT_FIELDS = (
    "room", "user_name", "text", "decision", "cyberbullying", "language", "model_version", "verdict",
    "decision_at_verdict",
)  # fmt: skip

Message = Mapping[str, Any]
Document = dict[str, Any]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Distance = Callable[[Floats, Floats], Floats]

log = logging.getLogger("models.monitor")


class InputError(Exception):
    """Something that the user can mend; the message says how. Exit code 2."""


@dataclass(frozen=True)
class Window:
    """The decided messages of a time, start included and end not.

    messages: all of them, or MOST_MESSAGES by chance
    judged: those with a verdict
    decided: how many there are, by model_version and decision
    """

    start: datetime
    end: datetime
    messages: Sequence[Message]
    judged: Sequence[Message]
    decided: Mapping[tuple[str, str], int]


class Result(NamedTuple):
    """What a distance is, from which value on it is an alert, and a plain number of either window, where one tells."""

    metric: str
    item: str | None
    value: float
    threshold: float
    current: float | None
    reference: float | None
    current_messages: int
    reference_messages: int


class Figure(NamedTuple):
    """A distance of two windows: each message's values in bins, as pairs of its number and a bin; repeats count."""

    metric: str
    item: str | None
    distance: Distance
    of: Integers
    bins: Integers
    size: int
    plain: Floats | None = None  # a number of each message, whose means tell people


def psi(one: Floats, other: Floats) -> Floats:
    """Population stability index of counts (…, bins): sum of (p - q) ln(p / q). Half a message is added to each bin.

    Without drift it is about (bins - 1) (1/n + 1/m), so a fixed threshold is one of the sample sizes (Yurdakul 2018).
    """
    p, q = _shares(one + 0.5), _shares(other + 0.5)
    return _sum((p - q) * np.log(p / q))


def jensen_shannon(one: Floats, other: Floats) -> Floats:
    """Jensen-Shannon divergence of counts (…, bins), in bits: 0 for the same, 1 for nothing in common (Lin 1991)."""
    p, q = _shares(one), _shares(other)
    mean = np.maximum((p + q) / 2, 1e-12)
    return _sum(p * np.log2(np.maximum(p, 1e-12) / mean) + q * np.log2(np.maximum(q, 1e-12) / mean)) / 2


def wasserstein(width: float) -> Distance:
    """The first Wasserstein distance of counts (…, bins) of bins this wide: the area between the two distributions."""

    def distance(one: Floats, other: Floats) -> Floats:
        return _sum(np.abs(np.cumsum(_shares(one) - _shares(other), axis=-1))) * width

    return distance


def cohen_h(one: Floats, other: Floats) -> Floats:
    """|Cohen's h| of counts (…, 2), of the shares of the second bin: 2 |asin sqrt(p) - asin sqrt(q)|."""
    p, q = _shares(one)[..., 1], _shares(other)[..., 1]
    h: Floats = 2 * np.abs(np.arcsin(np.sqrt(p)) - np.arcsin(np.sqrt(q)))
    return h


def _shares(counts: Floats) -> Floats:
    shares: Floats = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-12)
    return shares


def _sum(values: Floats) -> Floats:
    total: Floats = values.sum(axis=-1)
    return total


def figures(messages: Sequence[Message], version: str | None) -> list[Figure]:
    """What is compared. Scores and labels are those of one model version: another model's say nothing of the texts.

    What a user says again (`copies` over 1) counts for decisions and classes, not for texts, words and scores.
    """
    said = np.array([index for index, one in enumerate(messages) if (one.get("copies") or 1) == 1], np.int64)
    lengths = np.array([len(one["text"]) for one in messages], np.float64)
    found = []
    if len(said):
        found = [
            Figure("text_length", None, psi, said, *_deciles(lengths[said]), lengths),
            Figure("language", None, psi, said, *_categories([messages[at].get("language") for at in said])),
            _vocabulary([messages[at]["text"] for at in said], said),
        ]
    of_version = np.array([at for at in said if messages[at].get("model_version") == version], np.int64)
    for name, (low, high) in SCORES.items():
        scores = np.array([_number(one.get(name)) for one in messages])
        of = of_version[~np.isnan(scores[of_version])]
        if len(of):
            width = (high - low) / SCORE_BINS
            bins = np.clip(((scores[of] - low) / width).astype(np.int64), 0, SCORE_BINS - 1)
            found.append(Figure("score_psi", name, psi, of, *_deciles(scores[of]), scores))
            found.append(Figure("score_wasserstein", name, wasserstein(width), of, bins, SCORE_BINS, scores))
    labelled = of_version[[bool(messages[at].get("cyberbullying")) for at in of_version]]
    if len(labelled):
        labels = _categories([messages[at]["cyberbullying"] for at in labelled])
        found.append(Figure("label", "cyberbullying", psi, labelled, *labels))
    every = np.arange(len(messages))
    reasons = [frozenset(one.get("reasons") or ()) for one in messages]
    for name in sorted(frozenset().union(*reasons)):
        has = np.array([name in some for some in reasons], np.int64)
        found.append(Figure("class_share", name, cohen_h, every, has, 2, has.astype(np.float64)))
    for name in DECISIONS:
        has = np.array([one["decision"] == name for one in messages], np.int64)
        found.append(Figure("decision_share", name, cohen_h, every, has, 2, has.astype(np.float64)))
    return found


def _deciles(values: Floats) -> tuple[Integers, int]:
    """The bin of each value, and how many there are: tenths of all values; fewer where many are the same."""
    edges = np.unique(np.quantile(values, np.arange(1, 10) / 10))
    return np.searchsorted(edges, values, side="right"), len(edges) + 1


def _categories(values: Sequence[object]) -> tuple[Integers, int]:
    names, codes = np.unique(np.array([str(value) for value in values]), return_inverse=True)
    return codes.astype(np.int64), len(names)


def _vocabulary(texts: Sequence[str], of: Integers) -> Figure:
    """The words of the texts as the models read them, hashed; a word counts once in a message."""
    found = features.extract(texts)
    of_word = np.repeat(of, np.diff(found.word_starts // 2))
    pairs = np.unique(of_word * WORD_BINS + found.words[::2] % WORD_BINS)
    return Figure("vocabulary", None, jensen_shannon, pairs // WORD_BINS, pairs % WORD_BINS, WORD_BINS)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def drift(reference: Sequence[Message], current: Sequence[Message]) -> list[Result]:
    """The distances of two windows' messages, by figure. The same messages give the same results.

    Raises InputError where there are too few of them.
    """
    messages, now = [*reference, *current], np.arange(len(reference) + len(current)) >= len(reference)
    units = [
        (is_current, one.get("user_name"), str(one["server_time"])[:13])
        for is_current, one in zip(now.tolist(), messages, strict=True)
    ]
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    unit_of = np.array([numbers[unit] for unit in units], np.int64)
    is_current = np.array([unit[0] for unit in numbers])
    for name, some, units_of in (
        ("reference", reference, int((~is_current).sum())),
        ("current", current, int(is_current.sum())),
    ):
        if len(some) < LEAST_MESSAGES or units_of < LEAST_UNITS:
            raise InputError(
                f"The {name} window has too few messages: {len(some)} by {units_of} users, a user counted anew each "
                f"hour. At least {LEAST_MESSAGES} by {LEAST_UNITS} are needed: take more hours."
            )
    version = Counter(one.get("model_version") for one in current if one.get("model_version")).most_common(1)
    chance = np.random.default_rng(0)
    dealt = np.vstack((is_current, chance.permuted(np.tile(is_current, (PERMUTATIONS, 1)), axis=1))).astype(np.float32)
    compared = []
    for figure in figures(messages, version[0][0] if version else None):
        of_current = now[figure.of]
        if min(len(np.unique(figure.of[side])) for side in (of_current, ~of_current)) < LEAST_MESSAGES:
            continue  # the scores of a model that has just come, above all
        counts = np.bincount(unit_of[figure.of] * figure.size + figure.bins, minlength=len(numbers) * figure.size)
        counts = counts.reshape(len(numbers), figure.size).astype(np.float32)
        ones = (dealt @ counts).astype(np.float64)
        compared.append((figure, of_current, figure.distance(ones, np.maximum(counts.sum(axis=0) - ones, 0))))
    null = np.array([distances[1:] for *_, distances in compared])
    means, deviations = null.mean(axis=1), null.std(axis=1)
    highest = ((null - means[:, None]) / np.maximum(deviations, 1e-12)[:, None]).max(axis=0)
    width = float(np.quantile(highest, 1 - FALSE_ALARMS))
    results = []
    for (figure, of_current, distances), mean, deviation in zip(compared, means, deviations, strict=True):
        sides = [np.unique(figure.of[side]) for side in (of_current, ~of_current)]
        plain = [None if figure.plain is None else float(figure.plain[side].mean()) for side in sides]
        threshold = max(EFFECTS[figure.metric], width * float(deviation))
        value = float(distances[0] - mean)
        results.append(Result(figure.metric, figure.item, value, threshold, plain[0], plain[1], *map(len, sides)))
    return results


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); (0, 1) for no trials."""
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, NORMAL_95**2 / trials
    middle, half = share + square / 2, NORMAL_95 * math.sqrt((share * (1 - share) + square / 4) / trials)
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


def judged_decision(message: Message) -> str | None:
    """The decision that a verdict is about: the one that the moderator saw; None when they saw it without one.

    A later decision is none of it: an uphold of what was shown unscored would count for a flag that came after.
    """
    return message.get("decision_at_verdict")


def agreement(window: Window) -> list[Document]:
    """What moderators' verdicts say, over all and per model version: documents without window and time.

    flag_precision: of the flagged and held messages with a verdict, the share upheld; also per reason
    missed_share: of the allowed messages that were sampled and have a verdict, the share that should have been flagged
    miss_rate: estimated share of what should be flagged that was allowed: missed / (missed + caught), with
        missed = missed_share x allowed messages, caught = flag_precision x flagged messages. Its interval takes the
        ends of both intervals, so it is rather too wide.
    A figure with fewer than LEAST_VERDICTS verdicts, or whose interval holds the threshold, is no alert.
    """
    found = []
    for version in [None, *sorted({version for version, _ in window.decided})]:
        judged = [one for one in window.judged if version in (None, one.get("model_version"))]
        flagged = [one for one in judged if judged_decision(one) in FLAGGED]
        sampled = [one for one in judged if judged_decision(one) == "allow" and one.get("is_sampled")]
        groups: dict[str | None, list[Message]] = {None: flagged}
        for one in flagged if version is None else ():
            for reason in one.get("reasons") or ():
                groups.setdefault(reason, []).append(one)
        for reason, some in groups.items():
            upheld = sum(one["verdict"] == "uphold" for one in some)
            found.append(_share("flag_precision", reason, version, upheld, len(some), PRECISION_FROM, low_is_bad=True))
        overturned = sum(one["verdict"] == "overturn" for one in sampled)
        found.append(_share("missed_share", None, version, overturned, len(sampled), MISSED_UP_TO, low_is_bad=False))
        if not flagged or not sampled:
            continue
        number = {
            some: sum(count for (of, what), count in window.decided.items() if version in (None, of) and what in some)
            for some in (("allow",), FLAGGED)
        }
        precision, missed = found[-1 - len(groups)], found[-1]
        ends = [
            _miss_rate(missed[a] * number["allow",], precision[b] * number[FLAGGED])
            for a, b in (("value", "value"), ("lower", "upper"), ("upper", "lower"))
        ]
        found.append(
            missed
            | {"metric": "miss_rate", "threshold": None, "is_alert": False, "current_messages": len(flagged + sampled)}
            | dict(zip(("value", "lower", "upper"), ends, strict=True))
        )
    return [one for one in found if one["current_messages"]]


def _share(
    metric: str, item: str | None, version: str | None, successes: int, trials: int, threshold: float, low_is_bad: bool
) -> Document:
    lower, upper = wilson(successes, trials)
    surely = upper < threshold if low_is_bad else lower > threshold
    return {
        "metric": metric,
        "item": item,
        "model_version": version,
        "value": successes / max(trials, 1),
        "threshold": threshold,
        "is_alert": surely and trials >= LEAST_VERDICTS,
        "lower": lower,
        "upper": upper,
        "current_messages": trials,
    }


def _miss_rate(missed: float, caught: float) -> float:
    return missed / (missed + caught) if missed + caught else 0.0


def documents(reference: Window, current: Window, measured_at: datetime) -> list[Document]:
    """One document per figure, as the index model_monitoring has them. Raises InputError for too few messages."""
    versions = Counter(version for (version, _), count in current.decided.items() for _ in range(count))
    newest = versions.most_common(1)[0][0] if versions else None
    of_drift = [
        result._asdict() | {"is_alert": result.value > result.threshold, "model_version": newest}
        for result in drift(reference.messages, current.messages)
    ]
    blank = dict.fromkeys(("item", "current", "reference", "lower", "upper", "reference_messages", "model_version"))
    times = {
        "measured_at": _iso(measured_at),
        "window_start": _iso(current.start),
        "window_end": _iso(current.end),
        "reference_start": _iso(reference.start),
        "reference_end": _iso(reference.end),
    }
    return [
        times | blank | {name: round(value, 6) if isinstance(value, float) else value for name, value in one.items()}
        for one in [*of_drift, *agreement(current)]
    ]


def identity(document: Document) -> str:
    """The same figure of the same windows has the same id."""
    names = ("window_start", "window_end", "reference_start", "reference_end", "metric", "item", "model_version")
    return hashlib.sha256("|".join(str(document[name]) for name in names).encode()).hexdigest()[:32]


def sentence(document: Document) -> str:
    """A figure in words."""
    what = document["metric"] + (f" of {document['item']}" if document["item"] else "")
    told = f"{what} is {document['value']:.3f}"
    if document["threshold"] is not None:
        told += f" (threshold {document['threshold']:.3f})"
    if document["lower"] is not None:
        told += (
            f", between {document['lower']:.3f} and {document['upper']:.3f} by {document['current_messages']} verdicts"
        )
    if document["current"] is not None:
        told += f", mean {document['reference']:.3f} before and {document['current']:.3f} now"
    return told + "."


def from_elasticsearch(client: Elasticsearch, start: datetime, end: datetime) -> Window:
    """The decided messages of a time. Raises NotFoundError, ApiError and TransportError."""
    span = {"range": {"server_time": {"gte": _iso(start), "lt": _iso(end)}}}
    decided = [span, {"exists": {"field": "decision"}}]
    shared: dict[str, Any] = {
        "index": settings().prefix + MESSAGES,
        "source_includes": list(FIELDS),
        "size": MOST_MESSAGES,
    }
    by_chance = {
        "function_score": {"query": {"bool": {"filter": decided}}, "random_score": {"seed": 0, "field": "_seq_no"}}
    }
    counts = {
        "versions": {
            "terms": {"field": "model_version", "size": 100, "missing": ""},
            "aggs": {"decisions": {"terms": {"field": "decision", "size": 10}}},
        }
    }
    found = client.search(query=by_chance, aggs=counts, **shared)
    judged = client.search(
        query={"bool": {"filter": [*decided, {"exists": {"field": "verdict"}}]}},
        sort=[{"server_time": "desc"}],
        **shared,
    )
    return Window(
        start,
        end,
        sorted(readable([hit["_source"] for hit in found["hits"]["hits"]]), key=lambda one: str(one["message_id"])),
        readable([hit["_source"] for hit in judged["hits"]["hits"]]),
        {
            (version["key"], decision["key"]): decision["doc_count"]
            for version in found["aggregations"]["versions"]["buckets"]
            for decision in version["decisions"]["buckets"]
        },
    )


def is_readable(document: object) -> bool:
    """Whether a document has the fields that are read here, in the types of moderation_decisions."""
    if not isinstance(document, Mapping) or not isinstance(document.get("message_id"), str):
        return False
    reasons = document.get("reasons")
    if not all(isinstance(document.get(name), str | None) for name in TEXT_FIELDS) or not (
        reasons is None or (isinstance(reasons, list) and all(isinstance(reason, str) for reason in reasons))
    ):
        return False
    try:
        sent_at(document).astimezone(UTC)
    except (KeyError, TypeError, ValueError, OverflowError):  # of no time, or of one before the year 1 in UTC
        return False
    return True


def readable(documents: Sequence[Message]) -> list[Message]:
    """Those of the index's documents that can be read; how many cannot is logged."""
    found = [one for one in documents if is_readable(one) and one.get("decision") and one.get("text") is not None]
    if len(found) < len(documents):
        log.warning(
            "%d of %d documents of %s are left out: a field is not as moderation_decisions has it.",
            len(documents) - len(found),
            len(documents),
            settings().prefix + MESSAGES,
        )
    return found


def read_lines(path: Path) -> list[Message]:
    """The decided messages of a file of JSON lines, each message once. Raises InputError for what is none."""
    found = {}
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    one = orjson.loads(line)
                except orjson.JSONDecodeError:
                    one = None
                if not is_readable(one):
                    raise InputError(
                        f"{path}: line {number} is no decided message: it needs `message_id`, `server_time`, `text` "
                        "and `decision`, and all its fields as moderation_decisions has them."
                    )
                if one.get("decision") and one.get("text") is not None:
                    found[one.get("room"), one["message_id"]] = one
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    if not found:
        raise InputError(f"{path} holds no decided message.")
    return list(found.values())


def window_of(messages: Iterable[Message], start: datetime, end: datetime) -> Window:
    """Those of the messages that are of this time."""
    own = [one for one in messages if start <= sent_at(one) < end]
    chosen = np.sort(np.random.default_rng(0).permutation(len(own))[:MOST_MESSAGES])
    return Window(
        start,
        end,
        [own[at] for at in chosen],
        [one for one in own if one.get("verdict")],
        Counter((one.get("model_version") or "", one["decision"]) for one in own),
    )


def sent_at(message: Message) -> datetime:
    found = datetime.fromisoformat(message["server_time"])
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def post(address: str, alerts: Sequence[Document]) -> bool:
    """Sends the alerts to the webhook, in at most WEBHOOK_ATTEMPTS requests; whether it took them.

    The body is {"text": sentences, "alerts": documents}; chat systems show `text`. The address may hold a secret: only
    its host is logged.
    """
    body = {"text": "Crowdpulse, watched models: " + " ".join(map(sentence, alerts)), "alerts": list(alerts)}
    problem = ""
    for attempt in range(WEBHOOK_ATTEMPTS):
        if attempt:
            time.sleep(2 ** (attempt - 1))
        try:
            status = requests.post(
                address, json=body, timeout=WEBHOOK_TIMEOUT_SECONDS, allow_redirects=False
            ).status_code
        except requests.RequestException as error:
            problem = type(error).__name__
            continue
        if status < 300:
            return True
        problem = f"HTTP {status}"
        if status < 500 and status != 429:
            break
    log.error(
        "The webhook at %s did not take the alerts (%s): see the log for them.", urlsplit(address).hostname, problem
    )
    return False


def report(reference: Sequence[Message], current: Sequence[Message], target: Path) -> None:
    """Writes Evidently's report of two windows as HTML; it holds no text and no name.

    Raises ModuleNotFoundError where Evidently is not installed.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")  # Evidently would tell its makers that it is used
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    numbers, kinds = ["text_length", *SCORES], ["decision", "language", "cyberbullying"]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=kinds)

    def dataset(messages: Sequence[Message]) -> Any:
        rows = [
            {name: one.get(name) for name in (*SCORES, *kinds)} | {"text_length": len(one["text"])} for one in messages
        ]
        frame = pd.DataFrame(rows, columns=numbers + kinds)
        return Dataset.from_pandas(frame.astype(dict.fromkeys(numbers, float)), data_definition=definition)

    made = Report([DataDriftPreset(), DataSummaryPreset()]).run(dataset(current), dataset(reference))
    target.parent.mkdir(parents=True, exist_ok=True)
    made.save_html(str(target))


def moment(text: str) -> datetime:
    try:
        return sent_at({"server_time": text}).astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-01-02T12:00Z") from None


def _hours(text: str) -> timedelta:
    try:
        found = timedelta(hours=float(text))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours") from None
    if found <= timedelta(0):
        raise argparse.ArgumentTypeError("the number of hours must be over 0")
    return found


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.monitor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--since", type=moment, metavar="TIME", help="where the current window begins")
    begin.add_argument("--hours", type=_hours, default=_hours("24"), metavar="N", help="or how long it is (24)")
    parser.add_argument(
        "--until",
        type=moment,
        metavar="TIME",
        help="where it ends (now, by the minute; of a file: its newest message)",
    )
    before = parser.add_mutually_exclusive_group()
    before.add_argument(
        "--reference-hours", type=_hours, default=_hours("168"), metavar="N", help="the time before it to compare (168)"
    )
    before.add_argument("--reference", type=Path, metavar="FILE", help="or a file of messages to compare with")
    parser.add_argument(
        "--source", default="elasticsearch", metavar="FILE.jsonl", help="where the messages are (elasticsearch)"
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        default=settings().state_dir / "monitoring",
        help="where Evidently's report goes (.stack/monitoring)",
    )
    parser.add_argument(
        "--webhook", metavar="URL", default=settings().moderation_webhook, help="where alerts go (that of the settings)"
    )
    return parser


def windows(options: argparse.Namespace, client: Elasticsearch | None) -> tuple[Window, Window]:
    """The reference and the current window that are asked for. Raises InputError; ApiError, TransportError."""
    known = [] if client else read_lines(Path(options.source))
    newest = (
        max(map(sent_at, known)) + timedelta(milliseconds=1)
        if known
        else datetime.now(UTC).replace(second=0, microsecond=0)
    )
    end = options.until or newest
    try:
        start = options.since or end - options.hours
        earliest = start - options.reference_hours
    except OverflowError:
        raise InputError("A window would begin before the year 1: take fewer hours.") from None
    if start >= end:
        raise InputError(
            f"The current window ends ({_iso(end)}) before it begins ({_iso(start)}): see --since and --until."
        )

    def read(first: datetime, last: datetime) -> Window:
        return from_elasticsearch(client, first, last) if client else window_of(known, first, last)

    if options.reference:
        before = read_lines(options.reference)
        times = list(map(sent_at, before))
        return window_of(before, min(times), max(times) + timedelta(milliseconds=1)), read(start, end)
    return read(earliest, start), read(start, end)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code, see above."""
    options = _arguments().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)  # it would tell of each try, with a traceback
    client = elasticsearch_client(30) if options.source == "elasticsearch" else None
    try:
        return _watch(options, client)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except NotFoundError:
        print(
            f"There is no index {settings().prefix + MESSAGES} yet: start the job moderation and say something.",
            file=sys.stderr,
        )
        return 2
    except BulkIndexError as error:
        print(f"Elasticsearch refuses figures, the first with {json.dumps(error.errors[0])[:600]}", file=sys.stderr)
        return 1
    except (ApiError, TransportError) as error:
        print(
            f"Elasticsearch at {settings().elasticsearch_hosts} does not do its part "
            f"({type(error).__name__}: {str(error)[:300]}).",
            file=sys.stderr,
        )
        return 1
    finally:
        if client:
            client.close()


def _watch(options: argparse.Namespace, client: Elasticsearch | None) -> int:
    reference, current = windows(options, client)
    found = documents(reference, current, datetime.now(UTC))
    print(f"Current {_iso(current.start)} to {_iso(current.end)}: {sum(current.decided.values()):,} messages.")
    print(f"Reference {_iso(reference.start)} to {_iso(reference.end)}: {sum(reference.decided.values()):,} messages.")
    for one in found:
        print(f"{'ALERT' if one['is_alert'] else 'fine '}  {sentence(one)}")
    metrics = {one["metric"] for one in found}
    if "text_length" not in metrics:
        print(f"Texts are not compared: a window has fewer than {LEAST_MESSAGES} that are no repeats.")
    if "score_psi" not in metrics:
        print("Scores are not compared: a window has too few messages, no repeats, of the model version of now.")
    alerts = [one for one in found if one["is_alert"]]
    for one in alerts:
        log.warning("%s", sentence(one))
    if alerts and options.webhook:
        post(options.webhook, alerts)
    if client:
        index = settings().prefix + FIGURES
        bulk(client, [{"_index": index, "_id": identity(one), "_source": one} for one in found])
    target = options.report / f"{_iso(current.end).replace(':', '')}.html"
    try:
        report(reference.messages, current.messages, target)
        print(f"Evidently's report: {target}")
    except ModuleNotFoundError:
        print(
            "No report: Evidently is in the training environment. `make training-environment` makes it; then run this "
            "with .venv-training/bin/python."
        )
    except Exception:  # the alerts are what counts
        log.exception("Evidently's report could not be made.")
    return 3 if alerts else 0


if __name__ == "__main__":
    hide_secrets(settings().secrets())
    sys.exit(main())
