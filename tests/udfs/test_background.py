"""udfs/background.py: counts and the summary score, on tables of cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from udfs.background import (
    PARTS,
    Count,
    Found,
    Keyword,
    Label,
    LabelCount,
    Weights,
    counts,
    label_counts,
    present_keywords,
    read_weights,
    score,
    sum_counts,
    sum_keywords,
)

WEIGHTS = Weights.model_validate(
    {
        "parts": {
            "toxicity": {"weight": 0.5, "full_at": 0.5},
            "bullying": {"weight": 0.5, "full_at": 1},
            "sentiment": {"weight": 0.1, "full_at": 0.5},
            "keywords": {"weight": 0.4, "full_at": 0.5},
            "images": {"weight": 0.2, "full_at": 1},
        },
        "themes": {"weapons": 1.0, "alcohol": 0.5},
        "categories": {"Violence": 1.0},
    }
)
CALM = Found("ok", 10, 0, 0.0, 0.0, 0.4, [], 4, 0, [])
# What is found -> score, the points of one part, what is said to be missing.
SCORES: dict[str, tuple[Found, float | None, tuple[str, float | None], list[str]]] = {
    "nothing stands out": (CALM, 0.0, ("toxicity", 0.0), []),
    "half of what is full": (replace(CALM, toxic_share=0.25), 25.0, ("toxicity", 25.0), []),
    "more than full": (replace(CALM, toxic_share=0.9), 50.0, ("toxicity", 50.0), []),
    "two parts": (replace(CALM, toxic_share=0.5, bullying_share=1.0), 75.0, ("bullying", 50.0), []),
    "below zero": (replace(CALM, sentiment_mean=-0.25), 5.0, ("sentiment", 5.0), []),
    "a keyword": (
        replace(CALM, present_keywords=[Keyword("weapons", "rifle", 3, 1, ["a"])]), 16.0, ("keywords", 16.0), [],
    ),
    "a lighter theme": (
        replace(CALM, present_keywords=[Keyword("alcohol", "beer", 2, 0, ["a"])]), 8.0, ("keywords", 8.0), [],
    ),
    "all negated": (
        replace(CALM, present_keywords=[Keyword("weapons", "rifle", 3, 3, ["a"])]), 0.0, ("keywords", 0.0), [],
    ),
    "a theme without weight": (
        replace(CALM, present_keywords=[Keyword("politics", "vote", 9, 0, ["a"])]), 0.0, ("keywords", 0.0), [],
    ),
    "a picture": (
        replace(CALM, image_labels=[LabelCount("Violence", "", 1, 91.2, 1)]), 5.0, ("images", 5.0), [],
    ),
    "lower levels do not count twice": (
        replace(CALM, image_labels=[LabelCount("Violence", "Violence", 2, 91.2, 1)]), 0.0, ("images", 0.0), [],
    ),
    "half of the pictures": (
        replace(CALM, unscored_images=2, image_labels=[LabelCount("Violence", "", 1, 91.2, 1)]), 10.0,
        ("images", 10.0), ["images: 2 of 4 not scored"],
    ),
    "no pictures": (replace(CALM, images=0), 0.0, ("images", None), ["images: none"]),
    "no picture scored": (replace(CALM, unscored_images=4), 0.0, ("images", None), ["images: 4 of 4 not scored"]),
    "nothing known is no zero": (
        Found("private", 0, 0, None, None, None, [], 0, 0, []), None, ("toxicity", None),
        ["posts: the profile is private"],
    ),
    "nobody": (
        Found("missing", 0, 0, None, None, None, [], 0, 0, []), None, ("images", None),
        ["profile: there is none of this name"],
    ),
    "captions that nobody scored": (
        replace(CALM, toxic_share=None, unscored_captions=10), 0.0, ("toxicity", None),
        ["captions: 10 of 10 not scored, or not in all ways"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("found", "expected", "points", "missing"), SCORES.values(), ids=SCORES)
def test_the_score_follows_from_what_is_found(
    found: Found, expected: float | None, points: tuple[str, float | None], missing: list[str]
) -> None:
    result = score(found, WEIGHTS)

    assert result.score == (None if expected is None else pytest.approx(expected))
    assert set(result.points) == set(PARTS)
    assert {part: value for part, value in result.points.items() if part == points[0]} == {
        points[0]: None if points[1] is None else pytest.approx(points[1])
    }
    assert result.missing == missing


def test_evidence_can_be_checked() -> None:
    found = replace(
        CALM,
        present_keywords=[Keyword("weapons", "rifle", 2, 1, ["a", "b"])],
        image_labels=[LabelCount("Violence", "", 1, 91.6, 1)],
    )

    assert score(found, WEIGHTS).evidence == [
        "weapons: rifle in 2 posts, 1 of them negated (a, b)",
        "picture: Violence in 1 picture, up to 92 % sure",
    ]


def test_the_kept_weights_hold_for_all_parts() -> None:
    assert set(read_weights().parts) == set(PARTS)


WRONG_WEIGHTS = {
    "no YAML": ("parts: [", "is no YAML"),
    "a part that is there twice": ("themes: {}\nparts: {}\nthemes: {a: 1}", "'themes' is there twice"),
    "a value that is not of its type": ("parts: !!bool x", "not of its type"),
    "deep": ("[" * 10_000, "too many brackets"),
    "a part is absent": ("parts: {toxicity: {weight: 0.1, full_at: 1}}\nthemes: {}\ncategories: {}", "lacks bullying"),
    "a weight above 1": (
        "parts: {toxicity: {weight: 2, full_at: 1}}\nthemes: {}\ncategories: {}", "parts.toxicity.weight",
    ),
    "full at 0": ("parts: {images: {weight: 1, full_at: 0}}\nthemes: {}\ncategories: {}", "parts.images.full_at"),
    "an unknown part": ("parts: {fame: {weight: 1, full_at: 1}}\nthemes: {}\ncategories: {}", "parts.fame"),
    "empty": ("", "the file"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG_WEIGHTS.values(), ids=WRONG_WEIGHTS)
def test_a_wrong_file_of_weights_is_refused_with_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "weights.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=said):
        read_weights(file)
    with pytest.raises(ValueError, match=r"none\.yaml cannot be read"):
        read_weights(tmp_path / "none.yaml")
    file.write_bytes(b"# caf\xe9")
    with pytest.raises(ValueError, match=r"weights\.yaml is no UTF-8 from byte 5 on"):
        read_weights(file)


def test_counts_of_periods_add_up() -> None:
    first, second = counts(["tea", "hut", "tea", None]), counts(["hut", "cat"])

    assert first == [Count("tea", 2), Count("hut", 1)]
    assert sum_counts([first, None, second]) == [Count("hut", 2), Count("tea", 2), Count("cat", 1)]


def test_keywords_of_posts_and_periods_add_up() -> None:
    may = present_keywords([("p2", ["weapons"], ["rifle"], [False]), ("p1", ["weapons"], ["rifle"], [True])])
    june = present_keywords([("p0", ["alcohol", "weapons"], ["beer", "rifle"], [False, False])])

    assert may == [Keyword("weapons", "rifle", 2, 1, ["p1", "p2"])]
    assert sum_keywords([may, None, june]) == [
        Keyword("alcohol", "beer", 1, 0, ["p0"]),
        Keyword("weapons", "rifle", 3, 1, ["p0", "p1", "p2"]),
    ]


def test_labels_of_pictures_are_counted_with_the_highest_confidence() -> None:
    smoking = Label("Smoking", "Drugs & Tobacco", 2, 80.5)

    assert label_counts([[smoking], [Label("Alcohol", "", 1, 60.0), smoking._replace(confidence=99.1)]]) == [
        LabelCount("Smoking", "Drugs & Tobacco", 2, 99.1, 2),
        LabelCount("Alcohol", "", 1, 60.0, 1),
    ]
