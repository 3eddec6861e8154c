"""The models from the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any

import orjson

from models.language import languages
from models.runtime import Model, load, names

BATCH = 1000
EXPLAINED = 10


def scored(lines: Iterable[bytes], model: Model, explain: bool) -> Iterator[dict[str, Any]]:
    """One answer a line, in order: the line's own fields and what the model says of its `text`.

    A line that is no JSON object is answered by `line` (its text) and the reason `not_json`.
    """
    remaining = iter(lines)
    while batch := list(islice(remaining, BATCH)):
        records = [_record(line) for line in batch]
        texts = [None if record is None else record.get("text") for record in records]
        scores = model.score(texts)
        for line, record, text, language, label, values, reason in zip(
            batch, records, texts, languages(texts), scores.labels, scores.probabilities.tolist(), scores.reasons,
            strict=True,
        ):  # fmt: skip
            answer = {"line": line.decode("utf-8", "replace").rstrip("\n")} if record is None else dict(record)
            answer |= {
                "label": label,
                "scores": None if label is None else named_scores(model, values),
                "model_version": model.version,
                "language": language,
                "trained_language": None if language is None else language in model.languages,
                "unscored_reason": "not_json" if record is None else reason,
            }
            if explain and label is not None and isinstance(text, str):
                added = model.contributions(text, label)
                chosen = sorted(added, key=lambda piece: -abs(added[piece]))[:EXPLAINED]
                answer["explanation"] = {piece: round(added[piece], 4) for piece in chosen}
            yield answer


def named_scores(model: Model, probabilities: list[float]) -> dict[str, float]:
    """The probability of each class by name; with `mean` in [-1, 1] for a model of sentiment."""
    found = {label: round(value, 6) for label, value in zip(model.labels, probabilities, strict=True)}
    if {"negative", "positive"} <= found.keys():
        found["mean"] = round(found["positive"] - found["negative"], 6)
    return found


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _lines(source: IO[bytes]) -> Iterator[bytes]:
    return (line for line in source if not line.isspace())


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="score|list|train")
    score = commands.add_parser(
        "score",
        help="JSON lines with `text` in; the same lines with label and scores out",
        description="JSON lines with `text` in; the same lines, in order, with `label`, `scores`, `model_version`, "
        "`language`, `trained_language` and `unscored_reason` out. A file may be of any length.",
    )
    score.add_argument("name", metavar="NAME", help=f"one of: {', '.join(names())}")
    score.add_argument("--input", type=Path, metavar="F", help="JSON lines (default: standard input)")
    score.add_argument("--output", type=Path, metavar="F", help="where to write (default: standard output)")
    score.add_argument(
        "--explain", action="store_true", help=f"also the {EXPLAINED} n-grams and words that decided, with their weight"
    )
    commands.add_parser("list", help="the models of texts, with version and classes")
    train = commands.add_parser(
        "train",
        help="train, judge and write the model of reverts (those of texts: python -m models.train)",
        description="Trains the model of `models.reverts`, judges it on a grouped part held out, and writes weights, "
        "evaluation and card. Needs the training environment.",
    )
    train.add_argument("name", choices=["reverts"])
    train.add_argument("--data", type=Path, metavar="DIR", help="folder of the data sets (default: CROWDPULSE_DATA)")
    return parser


def _train(where: Path | None) -> int:
    from models import data, reverts_training  # which need more than scoring does

    try:
        found = reverts_training.train(where)
    except (data.MissingDataError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{found['version']}: AUC {found['auc']:.4f} on {found['rows']:,} revisions held out.")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 2 for a wrong name or file."""
    options = _arguments().parse_args(arguments)
    if options.command == "list":
        for model in map(load, names()):
            print(f"{model.version:30} {', '.join(model.labels)}")
        return 0
    if options.command == "train":
        return _train(options.data)
    with ExitStack() as files:
        try:
            model = load(options.name)
            source = files.enter_context(options.input.open("rb")) if options.input else sys.stdin.buffer
            target = files.enter_context(options.output.open("wb")) if options.output else sys.stdout.buffer
        except (LookupError, ValueError) as error:
            print(error.args[0], file=sys.stderr)
            return 2
        except OSError as error:
            print(f"{error.filename}: {error.strerror}.", file=sys.stderr)
            return 2
        try:
            for answer in scored(_lines(source), model, options.explain):
                target.write(orjson.dumps(answer) + b"\n")
            target.flush()
        except BrokenPipeError:  # the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
