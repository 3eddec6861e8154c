"""captions(username, text, told_at) and image_labels(username, bucket, s3_path, content_hash, told_at), a ROW each;
forgotten(username, told_at), a BOOLEAN.

Who judges is chosen for each task by settings: AWS (Comprehend, Rekognition) or our own models; see `udfs.providers`.
Made in the client, with all that a worker needs to know: `captions(Enrichment.of(settings()))`; for SQL, see
`udfs.background_functions`.

Every input gives a row; nothing stops the job. What has no answer is null and said, with the reason, in `unscored`
(`sentiment: throttled`, `caption: empty`) or `unscored_reason`; the reasons are listed in `udfs.providers.aws` and
`udfs.providers.local`. What was told (told_at; null: one does not know when) up to the time at which a person was
forgotten is neither judged nor sent: `forgotten`.

A function may be called twice on the same input, as Flink does after a failure: what was sent is not sent again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, get_args

import pandas as pd
from pyflink.table import DataTypes, Expression
from pyflink.table.types import DataType
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from models.text import unscored_reason
from udfs.providers import (
    UNKNOWN,
    Answer,
    Caption,
    Cyberbullying,
    Enrichment,
    Image,
    ImageLabels,
    KeyPhrases,
    Language,
    Name,
    Provider,
    Sentiment,
    Task,
    Toxicity,
    Unscored,
)
from udfs.providers.aws import Aws
from udfs.providers.ledger import Ledger
from udfs.providers.local import Local

TASKS: tuple[Task, ...] = get_args(Task)
TEXT, NUMBER, TEXTS = DataTypes.STRING(), DataTypes.DOUBLE(), DataTypes.ARRAY(DataTypes.STRING())

CAPTION_COLUMNS: dict[str, DataType] = {
    "sentiment": TEXT,
    "sentiment_mean": NUMBER,
    "toxicity": NUMBER,
    "toxic_labels": TEXTS,
    "cyberbullying": TEXT,
    "bullying": NUMBER,
    "key_phrases": TEXTS,
    "language": TEXT,
    "model_version": TEXT,
    "unscored": TEXTS,
}
# One array a column: PyFlink 2.3 has no Arrow type for an array of rows.
IMAGE_COLUMNS: dict[str, DataType] = {
    "names": TEXTS,
    "parents": TEXTS,
    "levels": DataTypes.ARRAY(DataTypes.INT()),
    "confidences": DataTypes.ARRAY(DataTypes.DOUBLE()),
    "content_types": TEXTS,
    "moderation_model_version": TEXT,
    "unscored_reason": TEXT,
}

Row = dict[str, object]
Column = Any  # a pandas Series, or one value that all rows have


class _Enriching(ScalarFunction):  # type: ignore[misc]
    """What the functions share: the ledger and who is forgotten."""

    def __init__(self, enrichment: Enrichment) -> None:
        self._enrichment = enrichment

    def open(self, function_context: FunctionContext | None) -> None:
        """Opens the ledger and loads models. Raises RuntimeError with a sentence when the ledger cannot be opened."""
        try:
            self._ledger = Ledger(self._enrichment.ledger)
        except (sqlite3.Error, OSError) as error:
            raise RuntimeError(
                f"The ledger {self._enrichment.ledger} cannot be opened ({error}): let CROWDPULSE_ENRICH_LEDGER name a "
                "file that the workers may write, on a disk of their own machine."
            ) from error
        self._aws = Aws(self._enrichment, self._ledger)

    def close(self) -> None:
        self._aws.close()
        self._ledger.close()

    def _reason(self, username: object, told_at: object) -> str | None:
        """Why nothing of this person may be judged."""
        if not isinstance(username, str):
            return "no username"
        try:
            forgotten = self._ledger.forgotten_at(username)
        except sqlite3.Error:
            return "ledger unavailable"  # who is forgotten cannot be known
        if forgotten is None:
            return None
        told = _moment(told_at)
        return "forgotten" if told is None or told <= forgotten else None


class Captions(_Enriching):
    """The Flink wrapper of captions."""

    def open(self, function_context: FunctionContext | None) -> None:
        super().open(function_context)
        local = Local(self._enrichment, [task for task in TASKS if self._enrichment.provider(task) == "local"])
        self._providers: dict[Name, Provider] = {"local": local, "aws": self._aws}

    def eval(self, usernames: Column, texts: Column, told_at: Column) -> pd.DataFrame:
        rows: list[Row] = []
        captions: dict[int, Caption] = {}
        for number, (username, text, told) in enumerate(_values(usernames, texts, told_at)):
            why = self._reason(username, told) or unscored_reason(text)
            rows.append(dict.fromkeys(CAPTION_COLUMNS))
            if why is None:
                captions[number] = Caption(username, text, told_at=_moment(told))
            else:
                rows[-1]["unscored"] = [f"caption: {'empty' if why == 'no_text' else why}"]
        for number, row in zip(captions, self._judge(list(captions.values())), strict=True):
            rows[number] |= row
        return _frame(rows, CAPTION_COLUMNS)

    def _judge(self, captions: list[Caption]) -> list[Row]:
        """The rows of what can be judged; its language first, which the other tasks ask for."""
        if not captions:
            return []
        language = self._providers[self._enrichment.language].captions(["language"], captions)["language"]
        captions = [
            replace(caption, language=answer.code if isinstance(answer, Language) else UNKNOWN)
            for caption, answer in zip(captions, language, strict=True)
        ]
        answers: dict[Task, list[Answer]] = {"language": language}
        for name, provider in self._providers.items():
            tasks = [task for task in TASKS if task != "language" and self._enrichment.provider(task) == name]
            answers |= provider.captions(tasks, captions)
        return [
            self._row(caption, {task: answers[task][number] for task in TASKS})
            for number, caption in enumerate(captions)
        ]

    def _row(self, caption: Caption, answers: dict[Task, Answer]) -> Row:
        row: Row = {}
        for answer in answers.values():
            match answer:
                case Language(code):
                    row["language"] = code
                case Sentiment(label, mean):
                    row |= {"sentiment": label, "sentiment_mean": mean}
                case Toxicity(score, labels):
                    row |= {"toxicity": score, "toxic_labels": list(labels)}
                case Cyberbullying(label, bullying):
                    row |= {"cyberbullying": label, "bullying": bullying}
                case KeyPhrases(phrases):
                    row["key_phrases"] = list(phrases)
        row["unscored"] = [
            f"{task}: {answer.reason}" for task, answer in answers.items() if isinstance(answer, Unscored)
        ] or None
        row["model_version"] = " ".join(
            f"{task}={self._providers[self._enrichment.provider(task)].version(task, caption)}"
            for task, answer in answers.items()
            if not isinstance(answer, Unscored)
        )
        return row


class Labels(_Enriching):
    """The Flink wrapper of image_labels."""

    def open(self, function_context: FunctionContext | None) -> None:
        super().open(function_context)
        local = self._enrichment.images == "local"
        self._provider: Provider = Local(self._enrichment, images=True) if local else self._aws

    def eval(self, usernames: Column, buckets: Column, paths: Column, hashes: Column, told_at: Column) -> pd.DataFrame:
        rows: list[Row] = []
        images: dict[int, Image] = {}
        for number, (username, *place, told) in enumerate(_values(usernames, buckets, paths, hashes, told_at)):
            why = self._reason(username, told)
            if why is None and not all(isinstance(part, str) and part for part in place):
                why = "no image"
            rows.append(dict.fromkeys(IMAGE_COLUMNS) | {"unscored_reason": why})
            if why is None:
                bucket, path, content_hash = place
                images[number] = Image(username, bucket, path, content_hash, _moment(told))
        for number, answer in zip(images, self._provider.images(list(images.values())), strict=True):
            rows[number] |= _image_row(answer)
        return _frame(rows, IMAGE_COLUMNS)


class Forgotten(_Enriching):
    """The Flink wrapper of forgotten."""

    def eval(self, usernames: Column, told_at: Column) -> pd.Series[bool]:
        return pd.Series(
            [self._reason(username, told) == "forgotten" for username, told in _values(usernames, told_at)], dtype=bool
        )


def _image_row(answer: ImageLabels | Unscored) -> Row:
    if isinstance(answer, Unscored):
        return {"unscored_reason": answer.reason}
    return {
        "names": [label.name for label in answer.labels],
        "parents": [label.parent for label in answer.labels],
        "levels": [label.level for label in answer.labels],
        "confidences": [label.confidence for label in answer.labels],
        "content_types": list(answer.content_types),
        "moderation_model_version": answer.version,
    }


def _moment(told_at: Any) -> pd.Timestamp | None:
    """A time of Flink, which is in UTC, with its zone; None for null."""
    told = pd.Timestamp(told_at)
    if told is pd.NaT:
        return None
    return told.tz_localize("UTC") if told.tz is None else told


def _values(*columns: Column) -> Iterable[tuple[Any, ...]]:
    """The arguments of each row. Flink gives a constant as it is, not as a column."""
    length = max((len(column) for column in columns if isinstance(column, pd.Series)), default=1)
    return zip(*[column if isinstance(column, pd.Series) else [column] * length for column in columns], strict=True)


def _frame(rows: Sequence[Row], columns: Iterable[str]) -> pd.DataFrame:
    """The rows as columns of objects, so that null stays None."""
    return pd.DataFrame({column: pd.Series([row[column] for row in rows], dtype=object) for column in columns})


def captions(enrichment: Enrichment) -> Callable[..., Expression]:
    """The function of a caption; see CAPTION_COLUMNS for its ROW.

    sentiment_mean: P(positive) - P(negative), in [-1, 1]. toxicity, bullying: probabilities. toxic_labels: the kinds
    that Comprehend names, none by our model. key_phrases: at most 10, the best first. unscored: null when all is.
    """
    return _function(Captions(enrichment), _row_of(CAPTION_COLUMNS))


def image_labels(enrichment: Enrichment) -> Callable[..., Expression]:
    """The function of an image; see IMAGE_COLUMNS for its ROW.

    names, parents, levels, confidences (percent) are parallel: Rekognition's labels as they came, empty where there is
    nothing to object to.
    """
    return _function(Labels(enrichment), _row_of(IMAGE_COLUMNS))


def forgotten(enrichment: Enrichment) -> Callable[..., Expression]:
    """The function that is true where what was told at told_at (null: nobody knows when) is to be forgotten.

    False for no username, and where the ledger cannot be read: then captions and image_labels say so and judge nothing.
    """
    return _function(Forgotten(enrichment), DataTypes.BOOLEAN())


def _row_of(columns: dict[str, DataType]) -> DataType:
    return DataTypes.ROW([DataTypes.FIELD(name, kind) for name, kind in columns.items()])


def _function(function: ScalarFunction, result_type: DataType) -> Callable[..., Expression]:
    made: Callable[..., Expression] = udf(function, result_type=result_type, func_type="pandas")
    return made
