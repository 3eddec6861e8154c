"""`python -m models`, with the models of this repository."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from models.__main__ import main, scored
from models.features import SHAPE
from models.runtime import load, names

LINES = [
    {"id": 1, "text": "you are a stupid worthless idiot, shut up"},
    {"text": "What a lovely day, thank you all so much!", "extra": {"kept": [1, 2]}},
    {"text": None},
    {"other": "no text"},
    {"text": 5},
    {"text": ""},
]


def answers(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_lines_come_back_in_order_with_what_the_model_says(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [json.dumps(line) for line in LINES] + [
        "not json",
        "[1]",
        "\udcff".encode("utf-8", "surrogateescape").hex(),
    ]
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")

    assert main(["score", "toxicity", "--input", str(source), "--output", str(target)]) == 0

    found = answers(target)
    assert [answer["unscored_reason"] for answer in found] == [
        None, None, "no_text", "no_text", "no_text", "empty", "not_json", "not_json", "not_json",
    ]  # fmt: skip
    assert [answer["label"] for answer in found] == ["toxic", "clean", *[None] * 7]
    assert found[0]["id"] == 1
    assert found[1]["extra"] == {"kept": [1, 2]}
    assert found[6]["line"] == "not json"
    assert 0 <= found[1]["scores"]["toxic"] < 0.5 < found[0]["scores"]["toxic"] <= 1
    assert {answer["model_version"] for answer in found} == {load("toxicity").version}
    assert [answer["language"] for answer in found[:3]] == ["en", "en", None]


LABELS = {
    "cyberbullying": {"age", "ethnicity", "gender", "religion", "other_cyberbullying", "not_cyberbullying"},
    "toxicity": {"clean", "toxic"},
    "sentiment": {"negative", "neutral", "positive"},
    "removal": {"kept", "removed"},
}


def test_each_model_answers_with_its_classes() -> None:
    assert set(names()) == set(LABELS)
    for name, labels in LABELS.items():
        (answer,) = scored([b'{"text": "you are great"}'], load(name), explain=True)
        assert answer["label"] in labels
        assert set(answer["scores"]) - {"mean"} == labels
        assert sum(answer["scores"][label] for label in labels) == pytest.approx(1, abs=1e-4)
        assert 0 < len(answer["explanation"]) <= 10
        shape = {f"({part})" for part in SHAPE}
        assert all(piece in shape or piece.strip() in "you are great" for piece in answer["explanation"])


def test_sentiment_has_a_mean() -> None:
    lines = [b'{"text": "best day ever, I love it"}', b'{"text": "I hate this awful terrible thing"}']

    good, bad = scored(lines, load("sentiment"), explain=False)

    assert bad["scores"]["mean"] < 0 < good["scores"]["mean"]
    assert good["scores"]["mean"] == pytest.approx(good["scores"]["positive"] - good["scores"]["negative"], abs=1e-5)


def test_a_longer_file_takes_no_more_memory() -> None:
    def lines(number: int) -> Iterator[bytes]:
        return (b'{"text": "some words about nothing at all %d"}' % one for one in range(number))

    def peak(number: int) -> int:
        tracemalloc.reset_peak()
        assert sum(1 for _ in scored(lines(number), model, explain=False)) == number
        return tracemalloc.get_traced_memory()[1]

    model = load("toxicity")
    tracemalloc.start()
    try:
        peak(2000)
        short, long = peak(2000), peak(20_000)
    finally:
        tracemalloc.stop()
    assert long < 1.3 * short


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["score", "toxicty"], "There is no model 'toxicty'. Models: cyberbullying, removal, sentiment, toxicity."),
        (["score", "toxicity", "--input", "/nowhere/in"], "/nowhere/in: No such file or directory."),
        (["score", "toxicity", "--output", "/nowhere/out"], "/nowhere/out: No such file or directory."),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.strip() == sentence


def test_scoring_needs_neither_scikit_learn_nor_flink() -> None:
    code = (
        "import sys\n"
        "for name in ('sklearn', 'scipy', 'mlflow', 'prefect', 'matplotlib', 'pandas', 'pyflink'):\n"
        "    sys.modules[name] = None\n"
        "from models.__main__ import main\n"
        "sys.exit(main(['score', 'cyberbullying']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=b'{"text": "you are great"}\n',
        capture_output=True,
        check=False,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] in LABELS["cyberbullying"]


@pytest.mark.skipif(find_spec("sklearn") is not None, reason="this is the training environment")
@pytest.mark.parametrize("module", ["train", "promote", "errors"])
def test_training_in_the_wrong_environment_says_which_is_right(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"models.{module}", "toxicity"], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 1
    assert "make training-environment" in done.stderr
    assert "Traceback" not in done.stderr
