"""models/reverts.py with the weights of this repository; their training where its environment and the data are."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import data
from models.reverts import FOLDER, load

ROOT = Path(__file__).parents[2]
DAY, YEAR = 86400.0, 365 * 86400.0
HIDDEN = UNKNOWN = float("nan")


def score(age: float, registered: float, trusted: float, size: float) -> float:
    (found,) = load().score(*(np.array([value], float) for value in (age, registered, trusted, size)))
    return float(found)


ANONYMOUS_BLANKS = score(UNKNOWN, 0, 0, -20_000)
ANONYMOUS_ADDS_A_WORD = score(UNKNOWN, 0, 0, 6)
TEN_MINUTES_OLD = score(600, 1, 0, 30)
TWO_YEARS_OLD = score(2 * YEAR, 1, 0, 30)
TEN_YEARS_OLD = score(10 * YEAR, 1, 0, 30)
TRUSTED = score(10 * YEAR, 1, 1, 30)


@pytest.mark.parametrize(
    ("riskier", "than", "times"),
    [
        (ANONYMOUS_BLANKS, TRUSTED, 50),
        (ANONYMOUS_BLANKS, ANONYMOUS_ADDS_A_WORD, 2),
        (ANONYMOUS_ADDS_A_WORD, TWO_YEARS_OLD, 5),
        (TEN_MINUTES_OLD, TWO_YEARS_OLD, 5),
        (TWO_YEARS_OLD, TEN_YEARS_OLD, 1.2),
        (TEN_YEARS_OLD, TRUSTED, 2),
        (score(2 * YEAR, 1, 0, -20_000), TWO_YEARS_OLD, 1.5),
    ],
    ids=["blanking, trusted", "blanking", "anonymous", "new", "a few years", "bots and administrators", "registered"],
)
def test_who_and_how_much_make_the_risk(riskier: float, than: float, times: float) -> None:
    assert 1 > riskier > times * than > 0


def test_the_older_the_account_the_lower_the_risk() -> None:
    ages = np.concatenate(([-3600.0, 0.0], np.geomspace(1, 40 * YEAR, 500)))
    ones = np.ones(len(ages))

    scores = load().score(ages, ones, 0 * ones, 30 * ones)

    assert (np.diff(scores) <= 0).all()
    assert scores[0] == scores[1] > 5 * scores[-1]


@pytest.mark.parametrize("registered", [0.0, 1.0])
def test_the_more_is_taken_away_beyond_some_words_the_higher_the_risk(registered: float) -> None:
    sizes = -np.geomspace(60, 1e6, 300)
    ones = np.ones(len(sizes))

    scores = load().score(30 * DAY * ones, registered * ones, 0 * ones, sizes)

    assert (np.diff(scores) >= 0).all()
    assert scores[-1] > 1.3 * scores[0]


@pytest.mark.parametrize("registered", [0.0, 1.0])
def test_no_byte_makes_a_leap(registered: float) -> None:
    sizes = np.arange(-20_000.0, 20_000)
    ones = np.ones(len(sizes))

    scores = load().score(DAY * ones, registered * ones, 0 * ones, sizes)

    assert np.abs(np.diff(scores)).max() < 0.05


@pytest.mark.parametrize("size", [-np.inf, -1e300, -1e7, 0.0, 1e7, 1e300, np.inf])
@pytest.mark.parametrize("age", [-1e12, 0.0, 1e12, np.inf])
def test_values_beyond_the_data_have_a_probability(age: float, size: float) -> None:
    assert 0 < score(age, 1, 0, size) < 1
    assert score(age, 0, 0, size) == score(UNKNOWN, 0, 0, size)


def test_what_is_unknown_is_neither_good_nor_bad() -> None:
    sizes = [score(YEAR, 1, 0, size) for size in (-20_000, -60, 0, 60, 20_000)]
    ages = [score(age, 1, 0, 30) for age in (60, DAY, YEAR, 10 * YEAR)]

    assert min(sizes) < score(YEAR, 1, 0, UNKNOWN) < max(sizes)
    assert min(ages) < score(UNKNOWN, 1, 0, 30) < max(ages)
    assert score(YEAR, 1, UNKNOWN, 30) == score(YEAR, 1, 0, 30)
    assert 0.15 < score(UNKNOWN, 0, UNKNOWN, UNKNOWN) < 0.3  # about one anonymous edit in five is reverted
    assert np.isnan(score(YEAR, HIDDEN, 0, 30))


def test_a_batch_has_the_scores_of_each_alone() -> None:
    rows = [(600, 1, 0, 30), (HIDDEN, HIDDEN, HIDDEN, 5), (HIDDEN, 0, 1, -900), (YEAR, 1, 1, HIDDEN)]

    found = load().score(*np.array(rows, float).T)

    np.testing.assert_array_equal(found, [score(*row) for row in rows])
    assert load().score(*np.empty((4, 0))).shape == (0,)


def test_the_evaluation_and_the_card_are_of_these_weights() -> None:
    evaluation = json.loads((FOLDER / "evaluation.json").read_text(encoding="utf-8"))
    card = (ROOT / "models/cards/reverts.md").read_text(encoding="utf-8")

    assert evaluation["version"] == load().version
    assert load().version in card
    assert f"{evaluation['auc']:.4f}" in card
    assert evaluation["auc"] >= 0.84


def test_a_missing_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="models train reverts"):
        load(tmp_path)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "models", "train", "reverts", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
    )


@pytest.mark.skipif(find_spec("sklearn") is not None, reason="this is the training environment")
def test_training_in_the_wrong_environment_says_which_is_right() -> None:
    done = command()

    assert done.returncode == 1
    assert "make training-environment" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def training() -> Any:
    pytest.importorskip("sklearn", reason="scikit-learn is in the training environment: make training-environment")
    from models import reverts_training

    return reverts_training


@pytest.fixture(scope="module")
def revisions(training: Any) -> Any:
    try:
        data.require(["editquality"])
    except data.MissingDataError as missing:
        pytest.skip(str(missing).split(":")[0] + ".")
    return training.read()


def test_missing_data_are_told(training: Any, tmp_path: Path) -> None:
    done = command("--data", str(tmp_path))

    assert done.returncode == 2
    assert "wikimedia/editquality" in done.stderr
    assert "MIT" in done.stderr
    assert "Traceback" not in done.stderr


def line(revision: int, words: int, anonymous: bool, age: float, reverted: bool) -> str:
    values = (revision, 1, max(words, 0), max(-words, 0), 0.0, 0.0, 0.0, anonymous, False, age, reverted)
    return "\t".join(map(str, values)) + "\n"


def written(folder: Path, *lines: str) -> Path:
    import bz2

    file = folder / data.SETS["editquality"].files[0]
    file.parent.mkdir(parents=True)
    file.write_bytes(bz2.compress("".join(lines).encode()))
    return folder


def test_groups_are_weeks_of_registration_and_days_of_anonymous_edits(training: Any, tmp_path: Path) -> None:
    # Anonymous rows tell the time: revision 0 is of second 0, 1000 of the day 100 and so on; ids rise evenly.
    clock = [line(revision, 0, True, revision * DAY / 10, False) for revision in range(0, 1001, 100)]
    where = written(
        tmp_path,
        *clock,
        line(101, 3, False, 5.1 * DAY, False),  # edited on day 10.1, registered on day 5
        line(901, 3, False, 85.1 * DAY, True),  # the same account, 80 days later
        line(902, -4, False, 70.2 * DAY, False),  # registered on day 20
        line(903, 0, True, 90.3 * DAY, False),  # the day of revision 900
        line(950, 0, True, 10 * DAY, False),  # imported: an old edit under a new id
    )

    rows = training.read(where)

    old, again, other, anonymous, imported = rows.group[len(clock) :]
    assert old == again
    assert len({old, other, anonymous}) == 3
    assert anonymous == rows.group[9]
    assert imported not in {old, other}
    assert rows.words.tolist()[-5:] == [3, 3, -4, 0, 0]
    assert rows.reverted.tolist()[-5:] == [False, True, False, False, False]
    assert rows.registered.sum() == 3


@pytest.mark.parametrize("content", ["1\t2\tTrue\n", line(1, 1, True, 1, True).replace("1\t", "x\t"), "1\n"])
def test_a_file_in_another_form_is_told(training: Any, tmp_path: Path, content: str) -> None:
    with pytest.raises(ValueError, match="editquality"):
        training.read(written(tmp_path, content))


def test_the_data_are_as_described(revisions: Any) -> None:
    assert len(revisions.age) == 14_979
    assert revisions.reverted.mean() == pytest.approx(0.06, abs=0.005)
    assert not (revisions.trusted & ~revisions.registered).any()
    assert revisions.age[~revisions.registered].min() > 2.8e8  # so arbitrary: not to be looked at
    assert revisions.age.min() > 0


def test_no_group_is_on_both_sides(training: Any, revisions: Any) -> None:
    out = training.held_out(revisions)

    assert not set(revisions.group[out]) & set(revisions.group[~out])
    assert 0.19 < out.mean() < 0.21
    assert revisions.reverted[out].sum() > 150


def test_the_model_of_this_repository_holds_on_the_part_that_it_did_not_see(training: Any, revisions: Any) -> None:
    from sklearn.metrics import roc_auc_score

    out = revisions.of(training.held_out(revisions))

    scores = training.score(load(), out)

    assert roc_auc_score(out.reverted, scores) >= 0.84
    assert scores.sum() == pytest.approx(out.reverted.sum(), rel=0.15)
    # As events have it, whose words are longer or shorter than assumed.
    for wrong_by in (0.5, 2.0):
        assert roc_auc_score(out.reverted, training.score(load(), out, wrong_by)) >= 0.84


def test_where_age_or_size_is_unknown_as_many_reverts_are_expected_as_there_are(training: Any, revisions: Any) -> None:
    learnt = revisions.of(~training.held_out(revisions))
    unknown = np.full(len(learnt.age), UNKNOWN)

    for known in (learnt._replace(words=unknown), learnt._replace(age=unknown)):
        scores = training.score(load(), known)
        for kind in (learnt.registered, ~learnt.registered):
            assert scores[kind].sum() == pytest.approx(learnt.reverted[kind].sum(), rel=0.01)


def test_training_again_gives_the_same_model_and_figures(training: Any, revisions: Any, tmp_path: Path) -> None:
    training.train(weights=tmp_path / "weights", cards=tmp_path / "cards")

    for file in ("curves.json", "evaluation.json"):
        again, kept = (json.loads((folder / file).read_text()) for folder in (tmp_path / "weights", FOLDER))
        assert flat(again) == pytest.approx(flat(kept), rel=0.002, abs=0.002), file  # of another machine
    assert (tmp_path / "cards/reverts.md").read_text().startswith("# reverts")
    learnt = revisions.of(~training.held_out(revisions))
    assert training.fit(learnt) == json.loads((tmp_path / "weights/curves.json").read_text())


def flat(values: Any) -> list[float]:
    """The numbers, in order."""
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list):
        return [number for value in values for number in flat(value)]
    return [float(values)] if isinstance(values, int | float) else []


def test_labels_shuffled_teach_nothing(training: Any, revisions: Any, tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    out = training.held_out(revisions)
    shuffled = revisions._replace(reverted=np.random.default_rng(1).permutation(revisions.reverted))

    model = training.save(training.fit(shuffled.of(~out)), tmp_path)

    assert 0.4 < roc_auc_score(revisions.reverted[out], training.score(model, revisions.of(out))) < 0.62
