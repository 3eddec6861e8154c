"""models/evaluate.py: the figures by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is in the training environment: make training-environment")

from models import evaluate


def test_figures_of_a_table_worked_by_hand() -> None:
    truth = ["a", "a", "a", "b", "b", "c"]
    answers = ["a", "a", "b", "b", "a", "a"]

    found = evaluate.figures(truth, answers, ["a", "b", "c"])

    assert found["confusion"] == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert found["accuracy"] == pytest.approx(3 / 6)
    assert found["classes"]["a"] == pytest.approx({"precision": 2 / 4, "recall": 2 / 3, "f1": 4 / 7, "texts": 3})
    assert found["classes"]["c"] == {"precision": 0, "recall": 0, "f1": 0, "texts": 1}
    assert found["macro_f1"] == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)
    assert found["macro_recall"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_the_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    probabilities = np.array([[0.95, 0.05], [0.96, 0.04], [0.4, 0.6], [0.5, 0.5]], np.float32)

    error, bins = evaluate.reliability(["a", "b", "b", "a"], probabilities, ["a", "b"])

    # .95 and .96 are in one bin, half right; .6 (right) and .5 (right) each in one of their own.
    assert [number for _, _, number in bins] == [1, 1, 2]
    assert error == pytest.approx(1 / 4 * 0.5 + 1 / 4 * 0.4 + 2 / 4 * (0.955 - 0.5), abs=1e-6)


def test_error_rates_are_told_per_identity_term() -> None:
    texts = ["a woman", "two women", "Women!", "a man", "womanly"]
    truth = ["clean", "clean", "toxic", "toxic", "clean"]
    answers = ["toxic", "clean", "clean", "toxic", "clean"]

    found = evaluate.subgroups(texts, truth, answers, "clean")

    assert found["women"] == {"texts": 3, "false_positive_rate": 1 / 2, "false_negative_rate": 1.0}
    assert found["men"]["false_negative_rate"] == 0
    assert found["men"]["false_positive_rate"] is None
    assert found["all"] == {"texts": 5, "false_positive_rate": pytest.approx(1 / 3), "false_negative_rate": 1 / 2}


DISGUISED = {
    "leetspeak": ("State it @bob", "57473 it @bob"),
    "stretched letters": ("You see", "Yoooouuuu seeeeeeee"),
    "homoglyphs": ("you see", "уоu sее"),
}


@pytest.mark.parametrize(("attack", "case"), DISGUISED.items())
def test_disguises(attack: str, case: tuple[str, str]) -> None:
    assert evaluate.ATTACKS[attack](case[0]) == case[1]


def test_spacing_parts_the_letters_of_some_words_and_always_of_the_same() -> None:
    text = "some words of this text are spaced and others remain whole"

    spaced = evaluate.ATTACKS["spacing"](text)

    assert spaced == evaluate.ATTACKS["spacing"](text) != text
    assert spaced.replace(" ", "") == text.replace(" ", "")
