"""Who judges captions and images: AWS (`udfs.providers.aws`) or models on this machine (`udfs.providers.local`).

One interface, chosen for each task by a setting. A caption's tasks: language, sentiment, toxicity, key_phrases, and
cyberbullying, which only our own model knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # workers do not see the settings
    from settings import Settings

Task = Literal["language", "sentiment", "toxicity", "key_phrases", "cyberbullying"]
Name = Literal["local", "aws"]

MOST_KEY_PHRASES = 10
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Enrichment:
    """All that the functions need to know, without a secret: made in the client, pickled, used by the workers.

    Credentials are found by each worker with boto3's default chain. The fields are settings of the same names.
    """

    ledger: str
    sentiment: Name = "local"
    key_phrases: Name = "local"
    toxicity: Name = "local"
    language: Name = "local"
    images: Name = "local"
    s3_endpoint: str = ""
    aws_region: str = "eu-west-1"
    aws_endpoint: str = ""
    max_units: int = 10_000
    concurrency: int = 4
    timeout_seconds: float = 10
    attempts: int = 5
    send_again: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Enrichment:
        """What these settings say."""
        return cls(
            ledger=str(settings.enrich_ledger.absolute()),
            sentiment=settings.enrich_sentiment,
            key_phrases=settings.enrich_key_phrases,
            toxicity=settings.enrich_toxicity,
            language=settings.enrich_language,
            images=settings.enrich_images,
            s3_endpoint=settings.s3_endpoint,
            aws_region=settings.aws_region,
            aws_endpoint=settings.aws_endpoint,
            max_units=settings.enrich_max_units,
            concurrency=settings.enrich_concurrency,
            timeout_seconds=settings.enrich_timeout_seconds,
            attempts=settings.enrich_attempts,
            send_again=settings.enrich_send_again,
        )

    def provider(self, task: Task) -> Name:
        """Who does a task."""
        chosen: Name = "local" if task == "cyberbullying" else getattr(self, task)
        return chosen


@dataclass(frozen=True)
class Caption:
    """A text that can be judged, of a person (a username).

    language: ISO 639-1; "und" where it cannot be told; UNKNOWN where asking failed, for which nothing else is judged.
    told_at: when we were told of it, with its zone; None: unknown.
    """

    person: str
    text: str
    language: str = "und"
    told_at: datetime | None = None


@dataclass(frozen=True)
class Image:
    """A picture of a person in S3; content_hash: sha256 of its bytes, in hex; told_at as of a Caption."""

    person: str
    bucket: str
    key: str
    content_hash: str
    told_at: datetime | None = None


@dataclass(frozen=True)
class Unscored:
    """Why there is no answer, in a word or two: `throttled`, `budget`, `timeout`, …"""

    reason: str


@dataclass(frozen=True)
class Sentiment:
    """label: positive, neutral, negative or mixed; mean: P(positive) - P(negative), in [-1, 1]."""

    label: str
    mean: float


@dataclass(frozen=True)
class Toxicity:
    """score: the probability that it is toxic; labels: the kinds that are at least as likely as not, lower case."""

    score: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cyberbullying:
    """label: the likeliest kind, or not_cyberbullying; bullying: the probability of any kind."""

    label: str
    bullying: float


@dataclass(frozen=True)
class Language:
    """ISO 639-1 (`zh-TW` for traditional Chinese by Comprehend), `und` where it cannot be told."""

    code: str


@dataclass(frozen=True)
class KeyPhrases:
    """At most MOST_KEY_PHRASES distinct ones in lower case, the best first."""

    phrases: tuple[str, ...]

    @classmethod
    def of(cls, scored: Sequence[tuple[str, float]]) -> KeyPhrases:
        """The best of phrases with their scores; of equal ones the first."""
        best = dict.fromkeys(phrase.lower() for phrase, _ in sorted(scored, key=lambda one: -one[1]))
        return cls(tuple(best)[:MOST_KEY_PHRASES])


@dataclass(frozen=True)
class Label:
    """A label of Rekognition's taxonomy as it came: confidence in percent, level 1 is the top, whose parent is ""."""

    name: str
    parent: str
    level: int
    confidence: float


@dataclass(frozen=True)
class ImageLabels:
    """What is in a picture; no labels: nothing to object to."""

    labels: tuple[Label, ...]
    content_types: tuple[str, ...]
    version: str


Answer = Language | Sentiment | Toxicity | KeyPhrases | Cyberbullying | Unscored


class Provider(Protocol):
    """Judges batches. Neither method raises: what has no answer is Unscored."""

    def version(self, task: Task, caption: Caption) -> str:
        """Who judged this, and what of it, to be told beside the answer."""

    def captions(self, tasks: Sequence[Task], captions: Sequence[Caption]) -> dict[Task, list[Answer]]:
        """An answer for each of these tasks and captions, in the order of the captions."""

    def images(self, images: Sequence[Image]) -> list[ImageLabels | Unscored]:
        """An answer for each image, in their order."""
