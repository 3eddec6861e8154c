"""models/runtime.py: saved and loaded, scored and explained, on models made here."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
import pytest

from models import features, runtime
from models.runtime import Model, Scorer

TEXTS = ["hello you", "you fool", "", "a", "fool! FOOL? f00l", "nothing that was ever learnt", "日本語 fool"]


def model_of(folder: Path, name: str, labels: list[str], seed: int) -> Model:
    """A model of random weights."""
    chance = np.random.default_rng(seed)
    columns = 1 if len(labels) == 2 else len(labels)
    runtime.save(
        folder / name,
        labels=labels,
        weights=chance.normal(size=(features.BUCKETS, columns)),
        idf=chance.uniform(1, 8, size=features.BUCKETS),
        shape=chance.normal(size=(len(features.SHAPE), columns)),
        bias=chance.normal(size=columns),
        offsets=np.zeros(len(labels)),
    )
    return runtime.load(name, folder)


def plain_scores(model: Model, one: str) -> list[float]:
    """The formula of the module's docstring, feature by feature, in floats."""
    shape = features.extract([one]).shape[0]
    scores = [float(bias + shape @ model.shape[:, column]) for column, bias in enumerate(model.bias)]
    for of_words in (False, True):
        rows = [
            [float(value) * float(unit) for value, unit in zip(model.table[bucket], model.scale, strict=True)]
            for _, bucket, kind in features.pieces(one)
            if kind is of_words
        ]
        length = math.sqrt(sum(row[-1] for row in rows)) or 1
        for column in range(len(scores)):
            scores[column] += sum(row[column] for row in rows) / length
    return scores


@pytest.mark.parametrize("labels", [["a", "b", "c"], ["no", "yes"]])
def test_probabilities_are_those_of_the_formula(tmp_path: Path, labels: list[str]) -> None:
    model = model_of(tmp_path, "m", labels, 1)

    found = model.score(TEXTS)

    for one, label, probabilities, reason in zip(TEXTS, found.labels, found.probabilities, found.reasons, strict=True):
        if not one:
            assert (label, reason) == (None, "empty")
            assert np.isnan(probabilities).all()
            continue
        scores = plain_scores(model, one)
        scores = [0.0, *scores] if len(labels) == 2 else scores
        raised = np.exp(scores) / np.exp(scores).sum()
        assert probabilities == pytest.approx(raised, abs=1e-4)
        assert (label, reason) == (labels[int(raised.argmax())], None)


def test_a_text_scores_alike_alone_in_a_batch_and_beside_other_models(tmp_path: Path) -> None:
    three, two = model_of(tmp_path, "three", ["a", "b", "c"], 1), model_of(tmp_path, "two", ["no", "yes"], 2)
    texts = [f"{one} {number}" for number in range(5000) for one in TEXTS]  # more than a chunk

    together = Scorer([three, two]).score([None, *texts, 7])

    assert together[0].reasons == ["no_text", *[None] * len(texts), "no_text"]
    for model, scores in zip((three, two), together, strict=True):
        alone = model.score(texts)
        assert np.array_equal(scores.probabilities[1:-1], alone.probabilities)
        assert scores.labels[1:-1] == alone.labels
        for size in (1, 3, 16):  # to the last bit: a replay has other batches, and decides the same
            assert np.array_equal(model.score(texts[70 : 70 + size]).probabilities, alone.probabilities[70 : 70 + size])


def test_no_texts_give_no_scores(tmp_path: Path) -> None:
    model = model_of(tmp_path, "m", ["a", "b", "c"], 1)

    assert model.score([]).probabilities.shape == (0, 3)
    assert model.score([None, ""]).labels == [None, None]


def test_contributions_add_up_to_the_score(tmp_path: Path) -> None:
    model = model_of(tmp_path, "m", ["a", "b", "c"], 3)
    binary = model_of(tmp_path, "n", ["no", "yes"], 3)

    for column, label in enumerate(model.labels):
        added = model.contributions("you old fool", label)
        expected = plain_scores(model, "you old fool")[column] - float(model.bias[column])
        assert sum(added.values()) == pytest.approx(expected, abs=1e-3)
    assert {"fool", "old fool", " fool"} <= set(added)
    yes, no = (sum(binary.contributions("you", label).values()) for label in ("yes", "no"))
    assert yes == pytest.approx(-no)


def test_offsets_choose_the_label_but_leave_the_probabilities(tmp_path: Path) -> None:
    plain = model_of(tmp_path, "m", ["no", "yes"], 4)
    eager = Model(**{**vars(plain), "offsets": np.array([0, 100], np.float32)})

    assert np.array_equal(plain.score(TEXTS).probabilities, eager.score(TEXTS).probabilities, equal_nan=True)
    assert set(eager.score(TEXTS).labels) == {"yes", None}


def test_the_version_tells_the_content(tmp_path: Path) -> None:
    first = model_of(tmp_path / "1", "m", ["a", "b", "c"], 1)
    again = model_of(tmp_path / "2", "m", ["a", "b", "c"], 1)
    other = model_of(tmp_path / "3", "m", ["a", "b", "c"], 2)

    assert first.version == again.version != other.version
    assert first.version.startswith("m@")


def test_a_model_can_be_read_from_a_zip(tmp_path: Path) -> None:
    model = model_of(tmp_path, "m", ["a", "b", "c"], 1)
    with zipfile.ZipFile(tmp_path / "shipped.zip", "w") as shipped:
        for file in (tmp_path / "m").iterdir():
            shipped.write(file, f"weights/m/{file.name}")

    found = runtime.load("m", zipfile.Path(tmp_path / "shipped.zip") / "weights")

    assert found.version == model.version
    assert np.array_equal(found.score(["you fool"]).probabilities, model.score(["you fool"]).probabilities)


def test_a_missing_model_and_other_features_are_told(tmp_path: Path) -> None:
    model_of(tmp_path, "m", ["a", "b", "c"], 1)
    with pytest.raises(LookupError, match=r"no model 'n'\. Models: m\."):
        runtime.load("n", tmp_path)
    description = tmp_path / "m/model.json"
    description.write_text(description.read_text().replace('"features": 1', '"features": 0'))
    with pytest.raises(ValueError, match="train it again"):
        runtime.load("m", tmp_path)
