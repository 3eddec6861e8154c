"""The labelled data sets that the models learn from: read, cleaned, and, where one is missing, where to get it.

They are not part of this repository. They lie in the folder that CROWDPULSE_DATA names, else in `../shared/data` beside
the repository. Grain of all that is read here: one text with one label.
"""

from __future__ import annotations

import bz2
import csv
import html
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from settings import Settings

ROOT = Path(__file__).resolve().parent.parent

Pairs = Iterator[tuple[str, str]]


class Examples(NamedTuple):
    """Texts and their labels, of equal length and order."""

    texts: list[str]
    labels: list[str]


class MissingDataError(Exception):
    """A data set is not where it should be; the message says, per set, where to get it and where to put it."""


@dataclass(frozen=True)
class DataSet:
    """A data set: where it comes from, under which licence, its files below the data folder, and how they are read."""

    title: str
    origin: str
    licence: str
    files: tuple[str, ...]
    pairs: Callable[..., Pairs]


def folder() -> Path:
    """The folder of the data sets."""
    return Path(Settings().data or ROOT.parent / "shared" / "data")


def read(name: str, where: Path | None = None) -> Examples:
    """All rows of the data set `name` as they are, in the order of the file.

    Raises MissingDataError if a file is absent, ValueError if it is not in the expected form.
    """
    where = where or folder()
    require([name], where)
    paths = [where / file for file in SETS[name].files]
    try:
        pairs = list(SETS[name].pairs(*paths))
        if not pairs:
            raise ValueError("no rows")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"The data set {name} in {where} is not in the expected form ({error!r}); it should be the files "
            f"{', '.join(SETS[name].files)} of {SETS[name].origin}."
        ) from error
    return Examples([text for text, _ in pairs], [label for _, label in pairs])


def require(names: Iterable[str], where: Path | None = None) -> None:
    """Raises MissingDataError with a sentence for each of the data sets that is not there."""
    where = where or folder()
    sentences = []
    for name in dict.fromkeys(names):
        absent = [file for file in SETS[name].files if not (where / file).is_file()]
        if absent:
            entry = SETS[name]
            sentences.append(
                f"The data set {name} ({entry.title}) is missing: get it from {entry.origin} (licence: "
                f"{entry.licence}) and put it at {' and '.join(str(where / file) for file in absent)}."
            )
    if sentences:
        raise MissingDataError(
            "\n".join([*sentences, "If the data sets are in another folder, name it in CROWDPULSE_DATA or by --data."])
        )


def clean(examples: Examples) -> Examples:
    """The examples to train on: one per distinct text, in the order of first appearance.

    HTML entities are unescaped (twice: the sets hold `&amp;lt;`) and outer white space goes; empty texts are left out.
    Texts that are then the same with the same label are merged. A text with several labels keeps the one that it has
    most often; on a tie nobody can say which is right, so it is left out.
    """
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for text, label in zip(examples.texts, examples.labels, strict=True):
        votes[html.unescape(html.unescape(text)).strip()][label] += 1
    cleaned = Examples([], [])
    for text, counts in votes.items():
        first, *others = counts.most_common(2)
        if text and not (others and others[0][1] == first[1]):
            cleaned.texts.append(text)
            cleaned.labels.append(first[0])
    return cleaned


def _csv(text: str, label: str, names: dict[str, str] | None = None) -> Callable[[Path], Pairs]:
    """A reader of a CSV file with a header: its columns of text and label, and what the labels are called."""

    def pairs(path: Path) -> Pairs:
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                yield row[text], names[row[label]] if names else row[label]

    return pairs


def _tsv(names: Sequence[str]) -> Callable[[Path], Pairs]:
    """A reader of lines `label TAB text`; `names` are the labels by their number."""

    def pairs(path: Path) -> Pairs:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                label, text = line.rstrip("\r\n").split("\t", 1)
                yield text, names[int(label)]

    return pairs


def _tweeteval(names: Sequence[str]) -> Callable[[Path, Path], Pairs]:
    """A reader of TweetEval: a file with a text a line and one with the number of its label."""

    def pairs(texts: Path, labels: Path) -> Pairs:
        # Not splitlines(): the tweets hold other characters that Python takes for line ends.
        lines = texts.read_text(encoding="utf-8").rstrip("\n").split("\n")
        for text, label in zip(lines, labels.read_text(encoding="utf-8").split(), strict=True):
            yield text, names[int(label)]

    return pairs


def _tweeteval_set(task: str, part: str, names: Sequence[str]) -> DataSet:
    return DataSet(
        f"TweetEval {task}, {part}",
        f"https://github.com/cardiffnlp/tweeteval (datasets/{task})",
        "that of the task, see there",
        (f"tweeteval/{task}/{part}_text.txt", f"tweeteval/{task}/{part}_labels.txt"),
        _tweeteval(names),
    )


def _edits(path: Path) -> Pairs:
    """A reader of revisions: "text" is the line of tab-separated features, the label the last column."""
    with bz2.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            features, reverted = line.rstrip("\n").rsplit("\t", 1)
            yield features, {"True": "reverted", "False": "kept"}[reverted]


SENTIMENTS = ("negative", "neutral", "positive")
TOXICITY = ("clean", "toxic")

SETS: dict[str, DataSet] = {
    "cyberbullying": DataSet(
        "tweets with the kind of cyberbullying",
        "Wang, Fu, Lu: SOSNet, IEEE BigData 2020 (https://ieee-dataport.org, fine-grained balanced cyberbullying)",
        "unresolved, do not redistribute",
        ("cyberbullying/cyberbullying_train.csv",),
        _csv("tweet_text", "cyberbullying_type"),
    ),
    "semeval2017-a": DataSet(
        "sentiment of tweets",
        "SemEval-2017 task 4 A (https://alt.qcri.org/semeval2017/task4)",
        "research use",
        ("semeval2017-a/train.tsv",),
        _tsv(SENTIMENTS),
    ),
    "davidson": DataSet(
        "tweets: hate, offensive language, neither",
        "https://github.com/t-davidson/hate-speech-and-offensive-language (data/labeled_data.csv)",
        "MIT",
        ("davidson/labeled_data.csv",),
        _csv("tweet", "class", {"0": "hate_speech", "1": "offensive_language", "2": "neither"}),
    ),
    "removal": DataSet(
        "r/science comments, removed by a moderator or not",
        "https://github.com/areeves87/reddit-comment-removal (r/science, train.csv as UTF-8)",
        "none stated",
        ("reddit-rscience/train.csv",),
        _csv("BODY", "REMOVED", {"0": "kept", "1": "removed", "False": "kept", "True": "removed"}),
    ),
    **{
        f"{task}-{part}": _tweeteval_set(task, part, names)
        for task, names in {
            "offensive": TOXICITY,
            "hate": ("not-hate", "hate"),
            "irony": ("non_irony", "irony"),
            "emotion": ("anger", "joy", "optimism", "sadness"),
        }.items()
        for part in ("train", "val")
    },
    "sentiment-val": _tweeteval_set("sentiment", "val", SENTIMENTS),
    "editquality": DataSet(
        "revisions of the English Wikipedia of 2015, with features, reverted or not",
        "https://github.com/wikimedia/editquality (datasets/demo/enwiki.features_reverted.training.20k_2015.tsv.bz2)",
        "MIT",
        ("editquality/enwiki.features_reverted.training.20k_2015.tsv.bz2",),
        _edits,
    ),
}
