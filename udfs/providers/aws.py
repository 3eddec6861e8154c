"""Judges with Amazon Comprehend and Rekognition, through the ledger: a content is sent, and paid, at most once.

Captions go in batches of BATCH texts of one language, as NFC. Of a longer text than Comprehend takes, the beginning is
judged, up to a code point, and the version says `cut`. A text whose language cannot be told is sent as English, which
most of these are. Toxicity takes a list of segments, whose order counts as their
context: so a request holds the segments of one caption only, and the worst of them is the caption's toxicity.

Images go as a name in S3 when our S3 is AWS's own, since then they need not pass through this machine; otherwise as
bytes that are read from our S3, which AWS cannot reach: before they are claimed, and only if they are what was told.

What is tried again, up to `attempts` times with exponential back-off and full jitter, is what has no result to pay for:
throttling, an unreachable address (also one with which TLS fails), answers of 500, 502 and 503, and single texts of a
batch with an internal error. AWS may have begun to process the last two; we take it that failed requests are not
billed. botocore's own retries would also send again what timed out or lost its connection, which may have been paid,
and cannot be told not to; so its clients make each request once, and this loop is ours.

Reasons of Unscored. Tried anew when the text comes again: `throttled`, `service error`, `unreachable`, `access denied`,
`no credentials`, `wrong configuration` (no client of AWS can be made), `budget`, `S3: …`. Not sent again (but see
`send_again`): `timeout` (no answer in time), `interrupted` (the worker ended or the connection broke meanwhile),
`refused: CODE`, `unreadable answer`. Never sent: `language`, `too large`, `forgotten` (also from the next attempt on,
when the person is forgotten meanwhile). `ledger unavailable`: without it nothing is sent; an answer that cannot be
stored is given nevertheless, and is `interrupted` when it is asked for again.
"""

from __future__ import annotations

import math
import random
import sqlite3
import time
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from models.language import UNDETERMINED
from udfs.providers import (
    Answer,
    Caption,
    Enrichment,
    Image,
    ImageLabels,
    KeyPhrases,
    Label,
    Language,
    Sentiment,
    Task,
    Toxicity,
    Unscored,
)
from udfs.providers.clients import comprehend_client, rekognition_client, s3_client
from udfs.providers.ledger import Content, Ledger, State, content_hash, person
from udfs.providers.local import error_code, read

# Comprehend's quotas: https://docs.aws.amazon.com/comprehend/latest/dg/guidelines-and-limits.html
BATCH = 25  # texts of a BatchDetect… request
TEXT_BYTES = 5000  # of a text in UTF-8
SEGMENTS, SEGMENT_BYTES = 10, 1000  # of a request of DetectToxicContent, and of a segment in UTF-8
IMAGE_BYTES = 5_242_880  # of a picture that is sent as bytes; Rekognition's service model
# https://aws.amazon.com/comprehend/pricing/: 100 characters a unit, at least three a request
UNIT_CHARACTERS, LEAST_UNITS = 100, 3

BACKOFF_SECONDS, MOST_BACKOFF_SECONDS = 0.5, 20.0
SLACK_SECONDS = 5.0  # a request takes so much longer than its timeouts at most, as far as others wait for it
POLL_SECONDS = 0.05

THROTTLED = {
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "SlowDown",
}
NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    ProfileNotFound,
    NoAuthTokenError,
    TokenRetrievalError,
)
NOT_SENT = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError, SSLError)
_UNUSABLE = (BotoCoreError, ValueError, OSError)  # what making a client raises


@dataclass(frozen=True)
class _Question:
    """One content of a request; whose it is, and when each told it last (seconds since 1970; -inf: unknown).

    payload: a text, its segments, or an image: as it was told, or its bytes. batch: only those of the same one go
    together.
    """

    content: str
    payload: Any
    units: int
    persons: Mapping[str, float]
    batch: str = ""


@dataclass(frozen=True)
class _Failure:
    """Why a content has no answer; again: it may be sent again at once; processed: it may have been paid."""

    reason: str
    again: bool = False
    processed: bool = False


_A = TypeVar("_A")
_Send = Callable[[Sequence[_Question]], Sequence["dict[str, Any] | _Failure"]]


class Aws:
    """The provider `aws`. Makes no request until something is asked."""

    def __init__(self, enrichment: Enrichment, ledger: Ledger) -> None:
        self._settings = enrichment
        self._ledger = ledger
        self._clients: dict[str, Any] = {}
        self._pool = ThreadPoolExecutor(enrichment.concurrency, thread_name_prefix="aws")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def version(self, task: Task, caption: Caption) -> str:
        limit = SEGMENTS * SEGMENT_BYTES if task == "toxicity" else TEXT_BYTES
        cut = len(_normal(caption.text).encode("utf-8", "replace")) > limit
        return "aws:comprehend:cut" if cut else "aws:comprehend"

    def captions(self, tasks: Sequence[Task], captions: Sequence[Caption]) -> dict[Task, list[Answer]]:
        return {task: self._task(task, captions) for task in tasks}

    def _task(self, task: Task, captions: Sequence[Caption]) -> list[Answer]:
        try:
            languages = self._languages()
            known = {"en"} if task == "toxicity" else languages
            asked = [
                self._question(task, caption, language) if language in {"", *known} else None
                for caption in captions
                for language in [_language_of(task, caption)]
            ]
            size = 1 if task == "toxicity" else BATCH
            send = {
                "language": self._batch_of("batch_detect_dominant_language"),
                "sentiment": self._batch_of("batch_detect_sentiment"),
                "key_phrases": self._batch_of("batch_detect_key_phrases"),
                "toxicity": self._toxicity,
            }[task]
            found = self._ask(task, [question for question in asked if question], size, send)
        except _UNUSABLE as error:
            return [Unscored(_broken(error))] * len(captions)
        return [
            Unscored("language") if question is None else _read(_READERS[task], found[question.content])
            for question in asked
        ]

    def images(self, images: Sequence[Image]) -> list[ImageLabels | Unscored]:
        asked = [
            _Question(image.content_hash, image, 1, {person(image.person): _seconds(image.told_at)}, image.content_hash)
            for image in images
        ]
        try:
            self._client("rekognition")
            if not self._by_name():
                self._client("s3")
            found = self._ask("images", asked, 1, self._moderation)
        except _UNUSABLE as error:
            return [Unscored(_broken(error))] * len(images)
        return [_read(_image_labels, found[question.content]) for question in asked]

    # What is asked

    def _by_name(self) -> bool:
        """Whether our S3 is AWS's own, where Rekognition finds a picture by its name. ValueError for no address."""
        own = urlsplit(self._settings.s3_endpoint).hostname or ""
        return not self._settings.s3_endpoint or own.endswith((".amazonaws.com", ".amazonaws.com.cn"))

    def _client(self, name: str) -> Any:
        """A client, made when it is first needed, before anything is claimed. It reads AWS's configuration files.

        Raises what `_UNUSABLE` lists when these or an address are wrong.
        """
        if name not in self._clients:
            settings = self._settings
            if name == "s3":
                self._clients[name] = s3_client(settings.s3_endpoint, settings.aws_region)
            else:
                make = comprehend_client if name == "comprehend" else rekognition_client
                self._clients[name] = make(
                    settings.aws_endpoint, settings.aws_region, settings.timeout_seconds, settings.concurrency
                )
        return self._clients[name]

    def _languages(self) -> set[str]:
        """Those that Comprehend takes for sentiment and key phrases."""
        return set(self._client("comprehend").meta.service_model.shape_for("LanguageCode").enum)

    @staticmethod
    def _question(task: Task, caption: Caption, language: str) -> _Question:
        pieces = _segments(_normal(caption.text))[:SEGMENTS] if task == "toxicity" else [_cut(_normal(caption.text))]
        text = "".join(pieces)
        units = max(LEAST_UNITS, -(-len(text) // UNIT_CHARACTERS))
        content = content_hash(text, language)
        persons = {person(caption.person): _seconds(caption.told_at)}
        return _Question(content, pieces if task == "toxicity" else text, units, persons, language)

    def _batch_of(self, operation: str) -> _Send:
        def send(questions: Sequence[_Question]) -> list[dict[str, Any] | _Failure]:
            language = {"LanguageCode": questions[0].batch} if questions[0].batch else {}
            request = getattr(self._client("comprehend"), operation)
            answer = request(TextList=[question.payload for question in questions], **language)
            items: list[dict[str, Any] | _Failure] = [_Failure("unreadable answer", processed=True)] * len(questions)
            for item in answer["ResultList"]:
                items[item["Index"]] = {name: value for name, value in item.items() if name != "Index"}
            for item in answer["ErrorList"]:
                code = str(item.get("ErrorCode", ""))
                internal = code.startswith("InternalServer")
                items[item["Index"]] = (
                    _Failure("service error", again=True) if internal else _Failure(_refused(code), processed=True)
                )
            return items

        return send

    def _toxicity(self, questions: Sequence[_Question]) -> list[dict[str, Any] | _Failure]:
        (question,) = questions
        answer = self._client("comprehend").detect_toxic_content(
            TextSegments=[{"Text": segment} for segment in question.payload], LanguageCode=question.batch
        )
        return [{"ResultList": answer["ResultList"]}]

    def _moderation(self, questions: Sequence[_Question]) -> list[dict[str, Any] | _Failure]:
        (question,) = questions
        image: Image | bytes = question.payload
        if isinstance(image, bytes):
            sent: dict[str, Any] = {"Bytes": image}
        elif self._by_name():
            sent = {"S3Object": {"Bucket": image.bucket, "Name": image.key}}
        else:  # another worker gave it up just when we claimed it
            return [_Failure("S3: not read")]
        answer = self._client("rekognition").detect_moderation_labels(Image=sent)
        return [{name: value for name, value in answer.items() if name != "ResponseMetadata"}]

    def _with_bytes(self, question: _Question) -> _Question | Unscored:
        """A question about a picture with its bytes, if it is to be sent with them: before its claim, which would run
        out while S3 is slow."""
        if not isinstance(question.payload, Image) or self._by_name():
            return question
        state = self._ledger.state("aws", "images", question.content)
        if state is not None and (state.reason is None or not self._settings.send_again):
            return question
        picture = read(self._client("s3"), question.payload, IMAGE_BYTES)
        return picture if isinstance(picture, Unscored) else replace(question, payload=picture)

    # How it is asked

    def _ask(
        self, task: str, questions: Sequence[_Question], size: int, send: _Send
    ) -> dict[str, dict[str, Any] | Unscored]:
        """The answer to each question, by its content, each asked once; as many batches at once as are allowed."""
        unique: dict[str, _Question] = {}
        for question in questions:
            known = unique.get(question.content, question)
            unique[question.content] = replace(question, persons=_latest(known.persons, question.persons))
        groups: defaultdict[str, list[_Question]] = defaultdict(list)
        for question in unique.values():
            groups[question.batch].append(question)
        batches = [group[at : at + size] for group in groups.values() for at in range(0, len(group), size)]
        found: dict[str, dict[str, Any] | Unscored] = {}
        for answers in self._pool.map(lambda batch: self._batch(task, batch, send), batches):
            found |= answers
        # Only now, when all of ours are answered: so no two workers wait for each other.
        for content in unique.keys() - found.keys():
            found[content] = self._wait(task, unique[content], send)
        return found

    def _batch(self, task: str, batch: Sequence[_Question], send: _Send) -> dict[str, dict[str, Any] | Unscored]:
        """The answers to a batch; without those contents that another worker has just sent."""
        settings, ledger = self._settings, self._ledger
        lasts = 2 * settings.timeout_seconds + SLACK_SECONDS
        found: dict[str, dict[str, Any] | Unscored] = {}
        mine: list[_Question] = []
        try:
            for question in batch:
                ready = self._with_bytes(question)
                if isinstance(ready, Unscored):
                    found[question.content] = ready
                else:
                    mine.append(ready)
            states = ledger.claim(
                "aws",
                task,
                [Content(q.content, q.units, set(q.persons), q.persons) for q in mine],
                max_units=settings.max_units,
                seconds=lasts,
                send_again=settings.send_again,
            )
        except sqlite3.Error:
            return {question.content: Unscored("ledger unavailable") for question in batch}
        found |= {content: _known(state) for content, state in states.items() if not state.waits and not state.claimed}
        mine = [question for question in mine if states[question.content].claimed]
        for attempt in range(settings.attempts):
            if attempt and mine:
                pause = random.uniform(0, min(BACKOFF_SECONDS * 2**attempt, MOST_BACKOFF_SECONDS))  # full jitter
                try:
                    ledger.renew("aws", task, [question.content for question in mine], pause + lasts)
                    time.sleep(pause)
                    gone = {q.content for q in mine if ledger.state("aws", task, q.content) is None}
                except sqlite3.Error:
                    return found | {question.content: Unscored("ledger unavailable") for question in mine}
                found |= dict.fromkeys(gone, Unscored("forgotten"))
                mine = [question for question in mine if question.content not in gone]
            if not mine:
                break
            items = dict(zip([question.content for question in mine], _sent(send, mine), strict=True))
            answers = {content: item for content, item in items.items() if not isinstance(item, _Failure)}
            failures = {content: item for content, item in items.items() if isinstance(item, _Failure)}
            found |= answers | {content: Unscored(failure.reason) for content, failure in failures.items()}
            mine = [q for q in mine if q.content in failures and failures[q.content].again]
            free = [c for c, failure in failures.items() if not (failure.processed or failure.again)]
            if attempt + 1 == settings.attempts:
                free += [question.content for question in mine]
            with suppress(sqlite3.Error):  # what we know is given nevertheless; the claims end as `interrupted`
                if answers:
                    ledger.answer("aws", task, answers)
                for content, failure in failures.items():
                    if failure.processed:
                        ledger.refuse("aws", task, [content], failure.reason)
                if free:
                    ledger.release("aws", task, free)
        return found

    def _wait(self, task: str, question: _Question, send: _Send) -> dict[str, Any] | Unscored:
        """The answer that another worker waits for, who may last as long as all attempts; ours if that one gave up."""
        settings = self._settings
        longest = settings.attempts * (2 * settings.timeout_seconds + SLACK_SECONDS + MOST_BACKOFF_SECONDS)
        end = time.monotonic() + longest
        while time.monotonic() < end:
            try:
                state = self._ledger.state("aws", task, question.content)
            except sqlite3.Error:
                return Unscored("ledger unavailable")
            if state is None:
                found = self._batch(task, [question], send)
                if question.content in found:
                    return found[question.content]
            elif not state.waits:
                return _known(state)
            time.sleep(POLL_SECONDS)
        return Unscored("interrupted")


def _seconds(told_at: datetime | None) -> float:
    return -math.inf if told_at is None else told_at.timestamp()


def _latest(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: max(one.get(name, -math.inf), other.get(name, -math.inf)) for name in one.keys() | other.keys()}


def _known(state: State) -> dict[str, Any] | Unscored:
    if state.reason is not None:
        return Unscored(state.reason)
    answer: dict[str, Any] = state.answer
    return answer


def _sent(send: _Send, batch: Sequence[_Question]) -> Sequence[dict[str, Any] | _Failure]:
    """The items of an answer; a request that fails is a failure of each of its contents."""
    try:
        return send(batch)
    except ClientError as error:
        failure = _failure(error)
    except NO_CREDENTIALS:
        failure = _Failure("no credentials")
    except NOT_SENT:
        failure = _Failure("unreachable", again=True)
    except ReadTimeoutError:
        failure = _Failure("timeout", processed=True)
    except BotoCoreError:
        failure = _Failure("interrupted", processed=True)
    except (ResponseParserError, KeyError, IndexError, TypeError, ValueError):
        failure = _Failure("unreadable answer", processed=True)
    return [failure] * len(batch)


def _failure(error: ClientError) -> _Failure:
    code, status = error_code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in THROTTLED or status == 429:
        return _Failure("throttled", again=True)
    if status == 504:  # a gateway that got no answer: it may have been processed
        return _Failure("timeout", processed=True)
    if status >= 500:
        return _Failure("service error", again=True)
    if status in (401, 403) or code in {
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "MissingAuthenticationTokenException",
        "NotAuthorizedException",
        "OptInRequired",
    }:
        return _Failure("access denied")
    return _Failure(_refused(code), processed=True)


def _refused(code: str) -> str:
    return f"refused: {code if code.isalnum() and len(code) <= 60 else 'unknown error'}"


def _broken(error: Exception) -> str:
    return "no credentials" if isinstance(error, NO_CREDENTIALS) else "wrong configuration"


# What was answered


def _read(reader: Callable[[Mapping[str, Any]], _A], answer: dict[str, Any] | Unscored) -> _A | Unscored:
    if isinstance(answer, Unscored):
        return answer
    try:
        return reader(answer)
    except (KeyError, IndexError, TypeError, ValueError):
        return Unscored("unreadable answer")


def _language(answer: Mapping[str, Any]) -> Answer:
    best = max(answer["Languages"], key=lambda one: float(one["Score"]))
    return Language(str(best["LanguageCode"]))


def _sentiment(answer: Mapping[str, Any]) -> Answer:
    scores = answer["SentimentScore"]
    return Sentiment(str(answer["Sentiment"]).lower(), float(scores["Positive"]) - float(scores["Negative"]))


def _key_phrases(answer: Mapping[str, Any]) -> Answer:
    return KeyPhrases.of([(str(one["Text"]), float(one["Score"])) for one in answer["KeyPhrases"]])


def _toxicity(answer: Mapping[str, Any]) -> Answer:
    worst = max(float(segment["Toxicity"]) for segment in answer["ResultList"])
    labels = {
        str(label["Name"]).lower()
        for segment in answer["ResultList"]
        for label in segment["Labels"]
        if label["Score"] >= 0.5
    }
    return Toxicity(worst, tuple(sorted(labels)))


def _image_labels(answer: Mapping[str, Any]) -> ImageLabels:
    labels = [
        Label(str(one["Name"]), str(one["ParentName"]), int(one["TaxonomyLevel"]), float(one["Confidence"]))
        for one in answer["ModerationLabels"]
    ]
    kinds = tuple(str(one["Name"]) for one in answer.get("ContentTypes", []))
    return ImageLabels(tuple(labels), kinds, f"aws:rekognition@{answer['ModerationModelVersion']}")


_READERS: dict[Task, Callable[[Mapping[str, Any]], Answer]] = {
    "language": _language,
    "sentiment": _sentiment,
    "key_phrases": _key_phrases,
    "toxicity": _toxicity,
}

# What Comprehend takes


def _language_of(task: Task, caption: Caption) -> str:
    """The language that a request names; "": none."""
    if task == "language":
        return ""
    return "en" if caption.language == UNDETERMINED else caption.language


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _cut(text: str, most: int = TEXT_BYTES) -> str:
    """The beginning of a text that has at most so many bytes in UTF-8; a lone half of a character is a `?`."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def _segments(text: str) -> list[str]:
    """A text in pieces of at most SEGMENT_BYTES, each up to a space where there is one in its second half."""
    return list(_pieces(text))


def _pieces(text: str) -> Iterator[str]:
    while text:
        piece = _cut(text, SEGMENT_BYTES)
        if len(piece) < len(text):
            space = piece.rfind(" ")
            piece = piece[: space + 1] if space > len(piece) // 2 else piece
        yield piece
        text = text[len(piece) :]
