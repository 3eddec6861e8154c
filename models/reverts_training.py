"""Trains and judges the model of `models.reverts`: `python -m models train reverts`.

read -> a grouped part held out -> fit on the rest -> judge on that part -> grouped cross-validation -> weights,
evaluation and card in their places, where git shows what changed. The same data give the same files.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import data, near_duplicates, reverts, reverts_card
from models.reverts import Array, RevertModel, log_age, signed_log

try:
    from scipy.optimize import brentq, minimize
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
    from sklearn.model_selection import GroupKFold
except ModuleNotFoundError as missing:
    sys.exit(
        f"{missing.name} is not here: run this with .venv-training/bin/python (`make training-environment` makes it)."
    )

SET = "editquality"
WEIGHTS = data.ROOT / "models" / "weights" / reverts.NAME
CARDS = data.ROOT / "models" / "cards"

HELD_OUT_SHARE = 0.2
SEED = 0
FOLDS = 5
# An assumption: the data count words, the stream tells bytes. English has about 5 letters a word, and a space.
BYTES_PER_WORD = 6.0
WRONG_BY = (0.5, 2.0)
WEEK, DAY, HOUR, MINUTE = 7 * 86400.0, 86400.0, 3600.0, 60.0
AGE_SECONDS = [MINUTE, 10 * MINUTE, HOUR, DAY, 4 * DAY, 30 * DAY, 365 * DAY, 3 * 365 * DAY, 10 * 365 * DAY]
NET_WORDS = [-1000.0, -100.0, -30.0, -10.0, -3.0, -1.0, 0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0]
# Of neighbouring knots' difference in log odds, and of the log odds themselves. Cross-validated AUC is the same within
# .0005 from a quarter of this smoothness to four times.
SMOOTHNESS = 5.0
RIDGE = 0.1
BINS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 1.0)
RESAMPLES = 1000


class Revisions(NamedTuple):
    """Revisions of the data set, n each; group: what is never parted between training and judging."""

    age: Array
    registered: NDArray[np.bool_]
    trusted: NDArray[np.bool_]
    words: Array
    reverted: NDArray[np.bool_]
    group: NDArray[np.int64]

    def of(self, chosen: NDArray[Any]) -> Revisions:
        return Revisions(*(column[chosen] for column in self))


def read(where: Path | None = None) -> Revisions:
    """The data set. Raises data.MissingDataError if it is absent, ValueError if it is in another form.

    Columns (wikimedia/editquality, ipython/reverted_detection_demo.ipynb): revision id, longest repeated character,
    words added, words removed, three of bad, informal and stop words, anonymous, bot or sysop, seconds since
    registration.
    """
    lines, labels = data.read(SET, where)
    try:
        columns = list(zip(*(line.split("\t") for line in lines), strict=True))
        revision, _, added, removed, _, _, _, is_anonymous, is_trusted, since = columns
        numbers = [np.array(column, float) for column in (revision, added, removed, since)]
    except ValueError as error:
        raise ValueError(
            f"The lines of the data set {SET} are not in the expected form ({error}); they should be the ten features "
            f"and the label of {data.SETS[SET].origin}."
        ) from error
    anonymous, trusted = (np.array(column) == "True" for column in (is_anonymous, is_trusted))
    edits, added_words, removed_words, age = numbers
    return Revisions(
        age,
        ~anonymous,
        trusted,
        added_words - removed_words,
        np.array(labels) == "reverted",
        _groups(edits, anonymous, age),
    )


def _groups(revision: Array, anonymous: NDArray[np.bool_], age: Array) -> NDArray[np.int64]:
    """Groups of registered accounts by the week of their registration, of anonymous users by the day of the edit.

    The data name neither user nor time, but anonymous rows count their age from one fixed moment: so it tells the time
    of the edit, and by the ids of the revisions between them that of all others.
    """
    order = np.argsort(revision)
    order = order[anonymous[order]]
    order = order[age[order] == np.maximum.accumulate(age[order])]  # a page imported has old times under new ids
    edited = np.interp(revision, revision[order], age[order])
    keys = np.where(anonymous, edited // DAY, -1 - (edited - age - (edited - age).min()) // WEEK)
    groups: NDArray[np.int64] = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    return groups


def fit(rows: Revisions) -> dict[str, Any]:
    """The values of the model's file, fitted to these rows.

    Least log loss with penalties on the curves' unevenness, the age's slopes not above 0, all at once (L-BFGS-B).
    """
    accounts, others = rows.registered, ~rows.registered
    ages, sizes = log_age(np.array(AGE_SECONDS)), signed_log(np.array(NET_WORDS))
    age = np.clip(log_age(rows.age)[:, None] - ages[:-1], 0, np.diff(ages)) * accounts[:, None]
    knot = np.stack([np.interp(signed_log(rows.words), sizes, one) for one in np.eye(len(sizes))], axis=1)
    first = 3 + age.shape[1]  # of the columns of size
    design = np.hstack(
        [
            np.stack([others, accounts, rows.trusted & accounts], axis=1),
            age,
            knot * others[:, None],
            knot * accounts[:, None],
        ]
    )
    uneven = np.zeros((design.shape[1], design.shape[1]))
    difference = np.diff(np.eye(len(sizes)), axis=0)
    for begin in (first, first + len(sizes)):
        curve = slice(begin, begin + len(sizes))
        uneven[curve, curve] = SMOOTHNESS * difference.T @ difference + RIDGE * np.eye(len(sizes))

    def loss(weights: Array) -> tuple[float, Array]:
        log_odds = design @ weights
        penalty = uneven @ weights
        value = np.logaddexp(0, log_odds).sum() - log_odds[rows.reverted].sum() + weights @ penalty / 2
        return float(value), design.T @ (1 / (1 + np.exp(-log_odds)) - rows.reverted) + penalty

    free, falling = (None, None), (None, 0)
    bounds = [free] * 3 + [falling] * age.shape[1] + [free] * (2 * len(sizes))
    found = minimize(loss, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 5000})
    if not found.success:
        raise RuntimeError(f"The fit has not converged: {found.message}")
    weights, log_odds = found.x, design @ found.x

    def neutral(kind: NDArray[np.bool_], columns: slice) -> float:
        """What stands for these columns' part where it is unknown: with it as many are expected as were reverted."""
        rest = (log_odds - design[:, columns] @ weights[columns])[kind]
        known = rows.reverted[kind].sum()
        return float(brentq(lambda shift: (1 / (1 + np.exp(-rest - shift))).sum() - known, -20, 20))

    of_age = slice(3, first)
    of_others, of_accounts = slice(first, first + len(sizes)), slice(first + len(sizes), None)
    shift_others, shift_accounts = neutral(others, of_others), neutral(accounts, of_accounts)
    shift_age = neutral(accounts, of_age)
    age_curve = np.append(0, np.cumsum(weights[of_age] * np.diff(ages)))
    return {
        "bytes_per_word": BYTES_PER_WORD,
        "unregistered": {
            "intercept": _rounded(weights[0] + shift_others),
            "net_words": NET_WORDS,
            "net_words_log_odds": _rounded(weights[of_others] - shift_others),
        },
        "registered": {
            "intercept": _rounded(weights[1] + shift_accounts + shift_age),
            "trusted": _rounded(weights[2]),
            "age_seconds": AGE_SECONDS,
            "age_log_odds": _rounded(age_curve - shift_age),
            "net_words": NET_WORDS,
            "net_words_log_odds": _rounded(weights[of_accounts] - shift_accounts),
        },
    }


def _rounded(values: Any) -> Any:
    """To three digits: what comes after is noise, of the data and of the machine's adding up."""
    return np.round(values, 3).tolist()


def save(values: dict[str, Any], folder: Path) -> RevertModel:
    """Writes the model's file; returns the model as it is loaded from there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / reverts.FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return reverts.load(folder)


def held_out(rows: Revisions) -> NDArray[np.bool_]:
    """Which rows are held out: whole groups, a fifth of the rows."""
    return near_duplicates.split(rows.group, rows.reverted.tolist(), HELD_OUT_SHARE, SEED)


def score(model: RevertModel, rows: Revisions, wrong_by: float = 1.0) -> Array:
    """The rows' scores, as for events: the size in bytes, at a word's bytes `wrong_by` times what the model assumes."""
    size = rows.words * model.bytes_per_word * wrong_by
    return model.score(rows.age, rows.registered.astype(float), rows.trusted.astype(float), size)


def judge(model: RevertModel, learnt: Revisions, out: Revisions) -> dict[str, Any]:
    """The evaluation of the model on the rows held out, beside gradient boosting fitted to the rows it learnt from."""
    scores, truth = score(model, out), out.reverted
    boosting = HistGradientBoostingClassifier(max_depth=4, learning_rate=0.05, max_iter=120, random_state=SEED)
    reference = boosting.fit(_features(learnt), learnt.reverted).predict_proba(_features(out))[:, 1]
    bins = np.searchsorted(BINS, scores, side="right") - 1
    return {
        "version": model.version,
        "learnt_from": len(learnt.reverted),
        "reverted_share": float(learnt.reverted.mean()),
        "rows": len(truth),
        "reverted": int(truth.sum()),
        "auc": float(roc_auc_score(truth, scores)),
        "auc_interval": _interval(out, scores),
        "pr_auc": float(average_precision_score(truth, scores)),
        "brier": float(brier_score_loss(truth, scores)),
        "expected": float(scores.sum()),
        "reference": {
            "auc": float(roc_auc_score(truth, reference)),
            "pr_auc": float(average_precision_score(truth, reference)),
            "brier": float(brier_score_loss(truth, reference)),
        },
        "kinds": {
            name: {
                "rows": int(kind.sum()),
                "reverted": int(truth[kind].sum()),
                "expected": float(scores[kind].sum()),
                "auc": float(roc_auc_score(truth[kind], scores[kind])),
                "pr_auc": float(average_precision_score(truth[kind], scores[kind])),
            }
            for name, kind in {"anonymous": ~out.registered, "registered": out.registered}.items()
        },
        "calibration": [
            {
                "from": BINS[one],
                "to": BINS[one + 1],
                "rows": int((bins == one).sum()),
                "mean_score": float(scores[bins == one].mean()),
                "reverted_share": float(truth[bins == one].mean()),
            }
            for one in np.unique(bins)
        ],
        "bytes_per_word_wrong": {f"{by:g}": float(roc_auc_score(truth, score(model, out, by))) for by in WRONG_BY},
    }


def _features(rows: Revisions) -> Array:
    age = np.where(rows.registered, rows.age, np.nan)
    return np.stack([rows.registered, rows.trusted, age, rows.words], axis=1)


def _interval(rows: Revisions, scores: Array) -> tuple[float, float]:
    """The middle 95 % of the AUC over resamples of whole groups (percentile bootstrap)."""
    chance = np.random.default_rng(SEED)
    members = [np.flatnonzero(rows.group == one) for one in np.unique(rows.group)]
    found = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([members[one] for one in chance.integers(len(members), size=len(members))])
        found.append(roc_auc_score(rows.reverted[chosen], scores[chosen]))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def cross_validate(rows: Revisions) -> dict[str, Any]:
    """AUC of each fold over all rows, no group on both sides; AUC and PR-AUC of all rows scored out of fold."""
    scores, folds = np.zeros(len(rows.reverted)), []
    for train, out in GroupKFold(FOLDS).split(rows.words, rows.reverted, rows.group):
        with tempfile.TemporaryDirectory() as folder:
            scores[out] = score(save(fit(rows.of(train)), Path(folder)), rows.of(out))
        folds.append(float(roc_auc_score(rows.reverted[out], scores[out])))
    return {
        "folds": folds,
        "auc": float(roc_auc_score(rows.reverted, scores)),
        "pr_auc": float(average_precision_score(rows.reverted, scores)),
        "auc_anonymous": float(roc_auc_score(rows.reverted[~rows.registered], scores[~rows.registered])),
        "auc_registered": float(roc_auc_score(rows.reverted[rows.registered], scores[rows.registered])),
    }


def train(where: Path | None = None, weights: Path = WEIGHTS, cards: Path = CARDS) -> dict[str, Any]:
    """Runs all steps and writes the files; returns the evaluation. Raises data.MissingDataError."""
    rows = read(where)
    out = held_out(rows)
    learnt = rows.of(~out)
    model = save(fit(learnt), weights)
    found = judge(model, learnt, rows.of(out))
    found["cross_validation"] = cross_validate(rows)
    (weights / "evaluation.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    cards.mkdir(parents=True, exist_ok=True)
    (cards / f"{reverts.NAME}.md").write_text(reverts_card.text(model, found, SET), encoding="utf-8")
    return found
