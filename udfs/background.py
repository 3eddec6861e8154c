"""What a background check counts and weighs: plain functions on what was found, then their Flink wrappers.

The functions work on one person's (or period's) rows, gathered by ARRAY_AGG; they are deterministic and call no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pyflink.common import Row
from pyflink.table.expression import Expression
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from config import read_yaml

Part = Literal["toxicity", "bullying", "sentiment", "keywords", "images"]
PARTS: tuple[Part, ...] = get_args(Part)
# Of a person's phrases and posts those that a reader can take in; what is counted is counted over all.
MOST_VALUES = 20
MOST_POSTS = 10

COUNTS = "ARRAY<ROW<`value` STRING, `count` BIGINT>>"
KEYWORDS = "ARRAY<ROW<theme STRING, keyword STRING, posts BIGINT, negated_posts BIGINT, post_ids ARRAY<STRING>>>"
LABELS = "ARRAY<ROW<name STRING, parent STRING, `level` INT, confidence DOUBLE>>"
LABEL_COUNTS = "ARRAY<ROW<name STRING, parent STRING, `level` INT, confidence DOUBLE, images BIGINT>>"
SCORE = (
    "ROW<score DOUBLE, toxicity_points DOUBLE, bullying_points DOUBLE, sentiment_points DOUBLE, keywords_points DOUBLE,"
    " images_points DOUBLE, missing ARRAY<STRING>, evidence ARRAY<STRING>>"
)


class Count(NamedTuple):
    """How often a value was found."""

    value: str
    times: int


class Keyword(NamedTuple):
    """A keyword of the list in a person's captions; `post_ids` are those of the first posts, in order of their ids."""

    theme: str
    keyword: str
    posts: int
    negated_posts: int
    post_ids: list[str]


class Label(NamedTuple):
    """A moderation label as Rekognition gives it: confidence from 0 to 100, level 1 is a category."""

    name: str
    parent: str
    level: int
    confidence: float


class LabelCount(NamedTuple):
    """A label over all pictures: the highest confidence, and how many pictures have it."""

    name: str
    parent: str
    level: int
    confidence: float
    images: int


class Weight(BaseModel):
    """How far a part raises the score by itself (0 to 1), and what has to be found for that."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    weight: float = Field(ge=0, le=1)
    full_at: float = Field(gt=0, le=1)


class Weights(BaseModel):
    """config/background_score.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    parts: dict[Part, Weight]
    themes: dict[str, float]
    categories: dict[str, float]


@dataclass(frozen=True)
class Found:
    """What is known of a person; None for what is not."""

    status: str
    captions: int
    unscored_captions: int
    toxic_share: float | None
    bullying_share: float | None
    sentiment_mean: float | None
    present_keywords: Sequence[Keyword]
    images: int
    unscored_images: int
    image_labels: Sequence[LabelCount]


class Score(NamedTuple):
    """The summary score (0 to 100), what each part would give by itself, what is not known, and what it rests on.

    There is no score, None, where nothing is known of any part: that is not 0.
    """

    score: float | None
    points: dict[Part, float | None]
    missing: list[str]
    evidence: list[str]


def read_weights(file: Path | None = None) -> Weights:
    """The weights of a file, by default those of config/. Raises ValueError with a sentence for each wrong entry."""
    source = file or resources.files("config").joinpath("background_score.yaml")
    name = file or "config/background_score.yaml"
    try:
        content = read_yaml(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is no UTF-8 from byte {error.start} on: save it as UTF-8.") from None
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    try:
        found = Weights.model_validate(content)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()]
        raise ValueError(f"{name} is wrong. " + "; ".join(wrong) + ".") from None
    if absent := [part for part in PARTS if part not in found.parts]:
        raise ValueError(f"{name} lacks {', '.join(absent)} under `parts`: a weight of 0 leaves one out.")
    return found


def counts(values: Iterable[str | None]) -> list[Count]:
    """The most frequent values, ties in the order of the alphabet."""
    counted = Counter(value for value in values if value is not None)
    return _most(counted)


def sum_counts(groups: Iterable[Iterable[Count] | None]) -> list[Count]:
    """Counts of counts: of several periods those of all, of what each of them kept."""
    counted: Counter[str] = Counter()
    for group in groups:
        for value, count in group or ():
            counted[value] += count
    return _most(counted)


def _most(counted: Counter[str]) -> list[Count]:
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [Count(*item) for item in ranked[:MOST_VALUES]]


def present_keywords(
    posts: Iterable[tuple[str, Sequence[str], Sequence[str], Sequence[bool]]],
) -> list[Keyword]:
    """The keywords of posts, each post as (post id, themes, keywords, negated), one of each a keyword found in it."""
    every: dict[tuple[str, str], list[tuple[str, bool]]] = {}
    for post_id, themes, words, negated in posts:
        for theme, word, is_negated in zip(themes, words, negated, strict=True):
            every.setdefault((theme, word), []).append((post_id, is_negated))
    return [
        Keyword(
            theme, word, len(found), sum(is_negated for _, is_negated in found),
            sorted(post_id for post_id, _ in found)[:MOST_POSTS],
        )
        for (theme, word), found in sorted(every.items())
    ]  # fmt: skip


def sum_keywords(groups: Iterable[Iterable[Keyword] | None]) -> list[Keyword]:
    """Keywords of several periods as those of all."""
    summed: dict[tuple[str, str], Keyword] = {}
    for group in groups:
        for theme, word, posts, negated, post_ids in group or ():
            before = summed.get((theme, word), Keyword(theme, word, 0, 0, []))
            summed[theme, word] = Keyword(
                theme, word, before.posts + posts, before.negated_posts + negated,
                sorted([*before.post_ids, *post_ids])[:MOST_POSTS],
            )  # fmt: skip
    return [summed[key] for key in sorted(summed)]


def labels(
    names: Sequence[str], parents: Sequence[str], levels: Sequence[int], confidences: Sequence[float]
) -> list[Label]:
    """Parallel arrays, which a vectorized function can give, as rows, which it cannot."""
    return [Label(*one) for one in zip(names, parents, levels, confidences, strict=True)]


def label_counts(images: Iterable[Iterable[Label]]) -> list[LabelCount]:
    """The labels of several pictures, the most frequent first, then by name."""
    found: dict[str, LabelCount] = {}
    for image in images:
        for name, parent, level, confidence in image:
            before = found.get(name)
            found[name] = LabelCount(
                name, parent, level, max(confidence, before.confidence if before else 0),
                (before.images if before else 0) + 1,
            )  # fmt: skip
    return sorted(found.values(), key=lambda label: (-label.images, label.name))


def score(found: Found, weights: Weights) -> Score:
    """The summary score: 100 * (1 - product of (1 - weight * part)); see config/background_score.yaml."""
    below: dict[Part, float | None] = {
        "toxicity": found.toxic_share,
        "bullying": found.bullying_share,
        "sentiment": None if found.sentiment_mean is None else max(0.0, -found.sentiment_mean),
        "keywords": _weighted(
            [(weights.themes.get(one.theme, 0.0), one.posts - one.negated_posts) for one in found.present_keywords],
            found.captions,
        ),
        "images": _weighted(
            [(weights.categories.get(one.name, 0.0), one.images) for one in found.image_labels if one.level == 1],
            found.images - found.unscored_images,
        ),
    }
    points: dict[Part, float | None] = {}
    left = 1.0
    for part, value in below.items():
        weight = weights.parts[part]
        share = None if value is None else weight.weight * min(1.0, value / weight.full_at)
        points[part] = None if share is None else round(100 * share, 2)
        left *= 1 - (share or 0.0)
    known = any(value is not None for value in below.values())
    return Score(round(100 * (1 - left), 2) if known else None, points, _missing(found), _evidence(found))


def _weighted(weighted: Iterable[tuple[float, int]], of: int) -> float | None:
    return sum(weight * count for weight, count in weighted) / of if of else None


def _missing(found: Found) -> list[str]:
    """What is not known, and why, in words."""
    if found.status == "missing":
        return ["profile: there is none of this name"]
    said = []
    if found.status == "private":
        said.append("posts: the profile is private")
    elif not found.captions:
        said.append("captions: none")
    if found.unscored_captions:
        said.append(f"captions: {found.unscored_captions} of {found.captions} not scored, or not in all ways")
    if found.status == "ok" and not found.images:
        said.append("images: none")
    if found.unscored_images:
        said.append(f"images: {found.unscored_images} of {found.images} not scored")
    return said


def _evidence(found: Found) -> list[str]:
    """Sentences that a person can check: keywords with their posts, labels with their pictures."""
    words = [
        f"{one.theme}: {one.keyword} in {_number(one.posts, 'post')}"
        f"{f', {one.negated_posts} of them negated' if one.negated_posts else ''} ({', '.join(one.post_ids)})"
        for one in found.present_keywords
    ]
    shown = [
        f"picture: {one.name} in {_number(one.images, 'picture')}, up to {one.confidence:.0f} % sure"
        for one in found.image_labels
    ]
    return words + shown


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


@udf(result_type=COUNTS)  # type: ignore[untyped-decorator]
def value_counts(values: list[str | None] | None) -> list[Row] | None:
    """value_counts(ARRAY<STRING>) for SQL."""
    return None if values is None else [Row(*one) for one in counts(values)]


@udf(result_type=COUNTS)  # type: ignore[untyped-decorator]
def list_counts(lists: list[list[str] | None] | None) -> list[Row] | None:
    """list_counts(ARRAY<ARRAY<STRING>>) for SQL: each value counts once a list."""
    if lists is None:
        return None
    return [Row(*one) for one in counts(value for values in lists for value in dict.fromkeys(values or ()))]


@udf(result_type=COUNTS)  # type: ignore[untyped-decorator]
def add_counts(groups: list[list[Count] | None] | None) -> list[Row] | None:
    """add_counts(ARRAY<ARRAY<ROW<value, count>>>) for SQL."""
    return None if groups is None else [Row(*one) for one in sum_counts(groups)]


@udf(result_type=KEYWORDS)  # type: ignore[untyped-decorator]
def count_keywords(posts: list[tuple[str, list[str], list[str], list[bool]]] | None) -> list[Row] | None:
    """count_keywords(ARRAY<ROW<post_id, themes, words, negated>>) for SQL."""
    return None if posts is None else [Row(*one) for one in present_keywords(posts)]


@udf(result_type=KEYWORDS)  # type: ignore[untyped-decorator]
def add_keywords(groups: list[list[Keyword] | None] | None) -> list[Row] | None:
    """add_keywords(ARRAY<ARRAY<ROW<theme, …>>>) for SQL."""
    return None if groups is None else [Row(*one) for one in sum_keywords(groups)]


@udf(result_type=LABELS)  # type: ignore[untyped-decorator]
def label_rows(
    names: list[str] | None, parents: list[str] | None, levels: list[int] | None, confidences: list[float] | None
) -> list[Row] | None:
    """label_rows(names, parents, levels, confidences) for SQL."""
    if names is None or parents is None or levels is None or confidences is None:
        return None
    return [Row(*one) for one in labels(names, parents, levels, confidences)]


@udf(result_type=LABEL_COUNTS)  # type: ignore[untyped-decorator]
def count_labels(images: list[list[Label]] | None) -> list[Row] | None:
    """count_labels(ARRAY<ARRAY<ROW<name, parent, level, confidence>>>) for SQL."""
    return None if images is None else [Row(*one) for one in label_counts(images)]


class SummaryScore(ScalarFunction):  # type: ignore[misc]
    """The Flink wrapper of `score`: the weights travel with the job."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights.model_dump_json()

    def open(self, function_context: FunctionContext) -> None:
        self._read = Weights.model_validate_json(self._weights)

    def eval(
        self,
        status: str,
        captions: int | None,
        unscored_captions: int | None,
        toxic_share: float | None,
        bullying_share: float | None,
        sentiment_mean: float | None,
        present_keywords: list[Row] | None,
        images: int | None,
        unscored_images: int | None,
        image_labels: list[Row] | None,
    ) -> Row:
        found = Found(
            status,
            captions or 0,
            unscored_captions or 0,
            toxic_share,
            bullying_share,
            sentiment_mean,
            [Keyword(*one) for one in present_keywords or ()],
            images or 0,
            unscored_images or 0,
            [LabelCount(*one) for one in image_labels or ()],
        )
        result = score(found, self._read)
        return Row(result.score, *(result.points[part] for part in PARTS), result.missing, result.evidence)


def summary_score(weights: Weights) -> Callable[..., Expression]:
    """summary_score(status, captions, unscored_captions, toxic_share, bullying_share, sentiment_mean, present_keywords,
    images, unscored_images, image_labels) for SQL, with these weights."""
    function: Callable[..., Expression] = udf(SummaryScore(weights), result_type=SCORE)
    return function
