"""models/retrain.py: what verdicts teach, and a challenger from them, in the training environment."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is in the training environment: make training-environment")
pytest.importorskip("mlflow", reason="MLflow is in the training environment: make training-environment")

from models import data, promote, retrain, runtime, train
from models.monitor import InputError
from models.registry import Registry
from models.train import Split

GOOD = "lovely kind friendly happy gentle pleasant warm great".split()  # noqa: SIM905
BAD = "nasty stupid horrid ugly filthy rotten awful vile".split()  # noqa: SIM905
NEW_BAD = "toaster potato broccoli lampshade doormat teapot".split()  # noqa: SIM905
OTHER = "day house tree car river table letter song road garden window paper music city".split()  # noqa: SIM905

Message = dict[str, Any]


def texts(chance: random.Random, words: list[str], count: int) -> list[str]:
    return [
        " ".join(chance.sample([*chance.choices(OTHER, k=9), *chance.choices(words, k=3)], 12)) for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("decision", "verdict", "reasons", "toxicity", "removal", "cyberbullying"),
    [
        ("flag", "overturn", ["toxic"], "clean", "kept", "not_cyberbullying"),
        ("hold", "overturn", ["spam"], "clean", "kept", "not_cyberbullying"),
        ("allow", "uphold", [], "clean", "kept", "not_cyberbullying"),
        ("flag", "uphold", ["toxic"], "toxic", "removed", None),
        ("hold", "uphold", ["bullying", "gender", "toxic"], "toxic", "removed", "gender"),
        ("flag", "uphold", ["religion"], None, "removed", "religion"),
        ("flag", "uphold", ["spam", "flood"], None, None, None),
        ("allow", "overturn", None, "toxic", "removed", None),
        ("unscored", "overturn", [], None, None, None),
        (None, "uphold", ["toxic"], None, None, None),  # seen while the job was away, and flagged since
        ("flag", None, ["toxic"], None, None, None),
    ],
)
def test_what_a_verdict_teaches(
    decision: str | None,
    verdict: str | None,
    reasons: list[str] | None,
    toxicity: str | None,
    removal: str | None,
    cyberbullying: str | None,
) -> None:
    message = {"decision": "flag", "decision_at_verdict": decision, "verdict": verdict, "reasons": reasons}
    found = [retrain.label_of(message, name) for name in ("toxicity", "removal", "cyberbullying")]
    assert found == [toxicity, removal, cyberbullying]


def test_nearly_the_same_texts_stay_on_one_side() -> None:
    chance = random.Random(3)
    known, asked = texts(chance, GOOD, 60), texts(chance, BAD, 40)
    base = Split(known, ["clean"] * 60, np.arange(60), asked, ["toxic"] * 40)
    fresh = texts(chance, NEW_BAD, 100)
    added = data.Examples(
        [f"@ann {known[0]}!", f"RT {asked[0].upper()}", *fresh, *(f"{one} http://x.example" for one in fresh)],
        ["toxic"] * 202,
    )

    split = retrain.with_feedback(base, added)

    assert split.held_out_texts[:40] == asked
    assert split.texts[:60] == known
    taught, judged = split.texts[60:], split.held_out_texts[40:]
    assert taught.count(added.texts[0]) == retrain.FEEDBACK_WEIGHT
    assert added.texts[1] in judged
    assert {one.removesuffix(" http://x.example") for one in taught}.isdisjoint(
        one.removesuffix(" http://x.example") for one in judged
    )
    assert 0.2 < (len(judged) - 1) / 200 <= 0.3
    assert len(split.groups) == len(split.texts) == len(split.labels)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a data set of offensive language in TweetEval's form."""
    target = tmp_path / "data/tweeteval/offensive"
    target.mkdir(parents=True)
    for part, count in (("train", 250), ("val", 80)):
        chance = random.Random(part)
        pairs = [(one, 0) for one in texts(chance, GOOD, count)] + [(one, 1) for one in texts(chance, BAD, count)]
        (target / f"{part}_text.txt").write_text("".join(f"{text}\n" for text, _ in pairs))
        (target / f"{part}_labels.txt").write_text("".join(f"{label}\n" for _, label in pairs))
    return tmp_path / "data"


def test_a_challenger_learns_from_verdicts_and_can_run_in_shadow_and_be_promoted(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.train.CARDS", tmp_path / "cards")
    kept = Registry(
        f"sqlite:///{tmp_path / 'mlflow.db'}", (tmp_path / "artifacts").as_uri(), weights=tmp_path / "weights"
    )
    train.train("toxicity", base, registry=kept)
    assert promote.main(["toxicity"], kept, tmp_path / "cards") == 0
    chance = random.Random(5)
    missed, fine = texts(chance, NEW_BAD, 80), texts(chance, GOOD, 80)
    messages: list[Message] = [
        {"text": text, "decision": "allow", "decision_at_verdict": "allow", "reasons": [], "verdict": verdict}
        for some, verdict in ((missed, "overturn"), (fine, "uphold"))
        for text in some
    ]
    unseen = texts(chance, NEW_BAD, 40)
    assert runtime.load("toxicity", tmp_path / "weights").score(unseen).labels.count("toxic") < 30

    assert retrain.retrain("toxicity", messages, "new", base, registry=kept, folder=tmp_path / "challengers")

    out = capsys.readouterr().out
    assert "160 held-out texts of the base data, macro_f1: champion 1.0000 challenger" in out
    judged = re.search(r"(\d+) held-out texts of the verdicts, macro_f1: champion (\S+) challenger (\S+)", out)
    assert judged
    assert 40 <= int(judged[1]) <= 48
    assert float(judged[2]) < 0.8 < float(judged[3])
    assert "It is better: macro_f1" in out
    assert "CROWDPULSE_MODERATION_CHALLENGER=new" in out
    challenger = runtime.load("toxicity", tmp_path / "challengers/new")
    assert challenger.score(unseen).labels.count("toxic") > 35
    # The rules know that the champion was judged on the same texts.
    assert promote.main(["toxicity"], kept, tmp_path / "cards") == 0
    assert runtime.load("toxicity", tmp_path / "weights").version == challenger.version


def test_too_few_verdicts_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = {"server_time": "2026-01-02T12:00:00.000Z", "decision": "flag", "reasons": ["toxic"]} | {
        "verdict": "overturn", "decision_at_verdict": "flag"
    }  # fmt: skip
    path = tmp_path / "decided.jsonl"
    path.write_text("".join(json.dumps(one | {"message_id": str(at), "text": f"text {at}"}) + "\n" for at in range(60)))

    assert retrain.main(["--source", str(path)]) == 2
    assert "Too few verdicts to teach toxicity: 60 distinct texts (60 clean)." in capsys.readouterr().err
    with pytest.raises(InputError, match=r"0 distinct texts \(none\)"):
        retrain.feedback([], "removal")
