"""Trains a model from its data set to a version in the registry: `python -m models.train NAME`.

read, clean, split by groups of near duplicates -> features, tuning, training, calibration -> judging beside
scikit-learn -> card -> register as challenger. The same data give the same weights. With `--prefect` the steps are
tasks of a Prefect flow (`training`, which can be deployed and scheduled); without, plain functions that need no server.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import data, near_duplicates, runtime

try:
    from threadpoolctl import threadpool_limits

    from models import card, evaluate, linear
    from models.registry import Registry
except ModuleNotFoundError as missing:
    sys.exit(
        f"{missing.name} is not here: run this with .venv-training/bin/python (`make training-environment` makes it)."
    )

SEED = 0
HELD_OUT_SHARE = 0.2
CARDS = data.ROOT / ".stack" / "cards"  # of challengers; a champion's is in models/cards

Step = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Task:
    """What a model learns.

    classes: as the data name them, in the order of the scores; the second of two is what the score tells
    harmless: the class that calls for no action
    held_out: the data set to judge on; none for a part of the training set, split by groups
    headline: the figure that chooses among strengths and models
    folds: judged also by cross-validation of so many folds
    idf_power: how much rarity counts (see `models.linear`)
    """

    title: str
    data: str
    classes: tuple[str, ...]
    harmless: str
    strengths: tuple[float, ...]
    held_out: str | None = None
    balanced: bool = True
    headline: str = "macro_f1"
    folds: int = 0
    idf_power: float = 1.0

    @property
    def sets(self) -> list[str]:
        """The data sets that are needed."""
        return [self.data, *([self.held_out] if self.held_out else [])]

    @property
    def quality(self) -> evaluate.Quality:
        return {"macro_f1": evaluate.macro_f1, "macro_recall": evaluate.macro_recall}[self.headline]


TASKS = {
    "cyberbullying": Task(
        "the kind of cyberbullying of a post",
        "cyberbullying",
        ("age", "ethnicity", "gender", "religion", "other_cyberbullying", "not_cyberbullying"),
        harmless="not_cyberbullying",
        strengths=(10.0, 30.0),
        balanced=False,
    ),
    "toxicity": Task(
        "offensive language",
        "offensive-train",
        ("clean", "toxic"),
        harmless="clean",
        # This and the power were chosen on TweetEval's validation part, which is for that (its test part is not here).
        # The differences are small: .720 with a power of 1, .716 to .728 for other strengths.
        strengths=(1.0,),
        held_out="offensive-val",
        idf_power=0.5,
    ),
    "sentiment": Task(
        "the sentiment of a post",
        "semeval2017-a",
        ("negative", "neutral", "positive"),
        harmless="neutral",
        strengths=(0.3, 1.0),
        held_out="sentiment-val",
        headline="macro_recall",
    ),
    "removal": Task(
        "whether a moderator would remove a comment", "removal", ("kept", "removed"), "kept", (0.3, 1.0, 3.0), folds=5
    ),
}


@dataclass(frozen=True)
class Split:
    """The texts to learn from, with their groups of near duplicates, and those to judge on."""

    texts: list[str]
    labels: list[str]
    groups: NDArray[np.int64]
    held_out_texts: list[str]
    held_out_labels: list[str]

    @property
    def held_out(self) -> str:
        """Names the held-out texts, so that two evaluations are compared only if they are of the same."""
        return hashlib.sha256("\0".join([*self.held_out_texts, *self.held_out_labels]).encode()).hexdigest()[:16]


def read(task: Task, where: Path | None = None, sample: int | None = None) -> Split:
    """Reads, cleans and splits; `sample` takes about so many texts of the training set, in whole groups.

    Raises data.MissingDataError.
    """
    data.require(task.sets, where)
    examples = data.clean(data.read(task.data, where))
    texts, labels = np.array(examples.texts, object), np.array(examples.labels)
    groups = near_duplicates.groups(examples.texts)
    if sample and sample < len(texts):
        chosen = near_duplicates.split(groups, labels.tolist(), sample / len(texts), SEED)
        texts, labels, groups = texts[chosen], labels[chosen], groups[chosen]
    if task.held_out:
        judged = data.read(task.held_out, where)
        return Split(texts.tolist(), labels.tolist(), groups, judged.texts, judged.labels)
    out = near_duplicates.split(groups, labels.tolist(), HELD_OUT_SHARE, SEED)
    return Split(texts[~out].tolist(), labels[~out].tolist(), groups[~out], texts[out].tolist(), labels[out].tolist())


def learn(task: Task, split: Split, progress: linear.Progress) -> linear.Linear:
    """Tunes, trains and calibrates."""
    return linear.fit(
        split.texts,
        split.labels,
        split.groups,
        task.classes,
        task.strengths,
        task.balanced,
        task.idf_power,
        task.quality,
        progress,
    )


def figures(task: Task, split: Split, model: runtime.Model) -> dict[str, Any]:
    """What two models are compared by: the figures of quality on the held-out texts, as the runtime scores them.

    A text that the runtime refuses to score counts as an answer of the harmless class.
    """
    answers = [label or task.harmless for label in model.score(split.held_out_texts).labels]
    found = evaluate.figures(split.held_out_labels, answers, task.classes)
    return found | {"headline": task.headline, "held_out": split.held_out, "version": model.version}


def judge(
    task: Task, split: Split, model: runtime.Model, champion: runtime.Model | None, progress: linear.Progress
) -> dict[str, Any]:
    """The evaluation on the held-out texts, beside the champion's and scikit-learn's on the same."""
    truth, texts = split.held_out_labels, split.held_out_texts
    scores = model.score(texts)
    answers = [label or task.harmless for label in scores.labels]
    scored = [number for number, label in enumerate(scores.labels) if label is not None]
    ece, bins = evaluate.reliability([truth[one] for one in scored], scores.probabilities[scored], model.labels)
    found = figures(task, split, model) | {"ece": ece, "reliability": bins}
    if champion:
        found["champion"] = figures(task, split, champion)
    found["unscored"] = len(texts) - len(scored)
    found["subgroups"] = evaluate.subgroups(texts, truth, answers, task.harmless)
    found["robustness"] = {
        name: task.quality(truth, [label or task.harmless for label in model.score(list(map(attack, texts))).labels])
        for name, attack in evaluate.ATTACKS.items()
    }
    reference = evaluate.tuned_reference(split.texts, split.labels, split.groups, task.balanced, task.quality, progress)
    found["reference"] = evaluate.figures(truth, reference.predict(texts), task.classes) | {
        "strength": reference.steps[1][1].C,
        "texts_per_second": evaluate.rate(reference.predict, texts, 1000),
        "robustness": {
            name: task.quality(truth, reference.predict(list(map(attack, texts))))
            for name, attack in evaluate.ATTACKS.items()
        },
    }
    found["texts_per_second"] = evaluate.rate(model.score, texts, 1000)
    return found


def cross_validate(task: Task, split: Split, strength: float) -> list[float]:
    """The headline figure of each fold over all texts, each fold's model trained with this strength on the others."""
    texts, labels = [*split.texts, *split.held_out_texts], [*split.labels, *split.held_out_labels]
    groups = near_duplicates.groups(texts)
    reached = []
    for train, out in linear.folds(labels, groups, task.folds):
        chosen = [texts[one] for one in train]
        model = linear.fit(
            chosen,
            [labels[one] for one in train],
            groups[train],
            task.classes,
            (strength,),
            task.balanced,
            task.idf_power,
            task.quality,
            lambda _: None,
        )
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "fold")
            answers = runtime.load("fold", Path(folder)).score([texts[one] for one in out]).labels
        reached.append(task.quality([labels[one] for one in out], [answer or task.harmless for answer in answers]))
    return reached


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def train(
    name: str,
    where: Path | None = None,
    sample: int | None = None,
    registry: Registry | None = None,
    cards: Path | None = None,
    step: Step = plain,
    prepare: Callable[[Split], Split] | None = None,
) -> str:
    """Runs all steps; returns the version of the new challenger in the registry.

    step: wraps each step's function
    prepare: what is done to the texts before learning (see `models.retrain`)
    """
    threadpool_limits(1)  # what several threads add up is rounded otherwise, and the weights with it
    task, began = TASKS[name], time.monotonic()
    registry = registry or Registry()

    def progress(line: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True)

    progress(f"{name}: reading and splitting")
    split = step(read)(task, where, sample)
    if prepare:
        split = prepare(split)
    progress(f"{name}: {len(split.texts):,} texts to learn from, {len(split.held_out_texts):,} to judge on")
    fitted = step(learn)(task, split, progress)
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / name
        fitted.save(files)
        model = runtime.load(name, Path(folder))
        progress(f"{name}: judging")
        found = step(judge)(task, split, model, registry.champion_model(name), progress)
        found["learnt_from"] = len(split.texts)
        found["strength"] = fitted.c
        found["chosen"] = len(task.strengths) == 1  # not by cross-validation
        if task.folds:
            progress(f"{name}: {task.folds}-fold cross-validation")
            found["cross_validation"] = step(cross_validate)(task, split, fitted.c)
        written = card.write(name, task.title, task.sets, found, cards or CARDS)
        progress(f"{name}: its card is {written}")
        parameters = {"strength": fitted.c, "sample": sample, "texts": len(split.texts)}
        version = step(registry.record)(name, files, found, parameters)
    progress(
        f"{name}: {task.headline} {found[task.headline]:.4f}, scikit-learn {found['reference'][task.headline]:.4f}"
    )
    return str(version)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 2 when a data set is missing."""
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    parser.add_argument("name", choices=[*TASKS, "all"], help="the model to train")
    parser.add_argument("--data", type=Path, metavar="DIR", help=f"folder of the data sets (default: {data.folder()})")
    parser.add_argument("--sample", type=int, metavar="N", help="learn from about N texts only, for a try")
    parser.add_argument("--prefect", action="store_true", help="run as a Prefect flow (its server by PREFECT_API_URL)")
    options = parser.parse_args(arguments)
    try:
        for name in TASKS if options.name == "all" else [options.name]:
            if options.prefect:
                from models.flow import training

                version = training(name, options.data, options.sample)
            else:
                version = train(name, options.data, options.sample)
            print(f"{name}: version {version} is the challenger; `python -m models.promote {name}` compares it.")
    except data.MissingDataError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
