"""models/policy.py: the policy's file, and what it makes of the models' scores."""

from __future__ import annotations

import itertools
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from models import policy, runtime
from models.policy import CLASSES, MODELS, Moderator, Policy
from models.text import normalise

HARSH, KIND = "you are a worthless idiot, nobody wants you here", "hello everyone, how are you today?"
FILE = """
version: 2.0.0-rc1
unscored: show
classes: {toxic: {flag: 0.5, hold: 0.999}, removed: {flag: 1.0}}
spam: {copies: 3, decision: flag}
flood: {messages: 8, decision: hold}
strikes: {flag: 1, hold: 2.5, warn_at: 2.5, mute_at: 4.5, mute_minutes: 10}
rooms:
  kids: {unscored: hold, classes: {toxic: {hold: 0.6}, removed: null}, strikes: {hold: 4}}
  arena: {spam: null, classes: {toxic: {flag: null}}}
"""


@pytest.fixture(scope="module")
def moderator() -> Moderator:
    return Moderator.load()


def test_a_room_overrides_single_values() -> None:
    found = Policy.parse(FILE)

    assert (found.version, found.room("other")) == ("2.0.0-rc1", found.base)
    kids, arena = found.room("kids"), found.room("arena")
    assert [list(room.thresholds[:, CLASSES.index("toxic")]) for room in (found.base, kids, arena)] == [
        [0.5, 0.999],
        [0.5, 0.6],
        [float("inf"), 0.999],
    ]
    assert kids.thresholds[0, CLASSES.index("removed")] == float("inf")
    assert (kids.unscored, kids.strikes.hold, kids.strikes.warn_at) == ("hold", 4, 2.5)
    assert (arena.unscored, arena.spam, arena.flood) == ("show", None, found.base.flood)
    assert found.room("KIDS") is found.base


def test_json_is_the_same_policy() -> None:
    found = Policy.parse(FILE)
    shuffled = json.dumps(dict(reversed(json.loads(found.to_json()).items())), indent=2)

    assert Policy.parse(shuffled) == found
    assert "\n" not in found.to_json()
    assert Policy.parse(Policy.default().to_json()) == Policy.default()


def test_every_number_comes_back_from_json() -> None:
    shares = [0.0, 5e-324, 1e-300, 1e-5, 5e-05, 9.999e-05, 1e-4, 0.1 + 0.2, 1 - 2**-53, 1.0, 1]
    shares += (10 ** np.random.default_rng(9).uniform(-12, 0, 200)).tolist()
    for share in shares:
        content = {"version": "a", "classes": {"toxic": {"flag": share}}, "strikes": {"flag": share, "mute_at": 1e4}}
        found = Policy.parse(yaml.safe_dump(content))

        assert Policy.parse(found.to_json()) == found
        assert found.base.thresholds[0, 0] == found.base.strikes.flag == share
    with pytest.raises(ValueError, match=r"begins with \{ and is no JSON: 'toxic' is there twice"):
        Policy.parse('{"version": "a", "classes": {"toxic": {"flag": 0.5}, "toxic": {}}}')
    with pytest.raises(ValueError, match=r"begins with \{ and is no JSON: Expecting"):
        Policy.parse("{version: a}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "begin with its version"),
        ("[1]", "begin with its version"),
        ("version: 'a\nclasses: {", "no YAML"),
        pytest.param("[" * 3000, "too many brackets", id="deep YAML"),
        pytest.param('{"version": ' * 3000, "too many brackets", id="deep JSON"),
        ("version: a\nunscored: !!bool x", "not of its type: KeyError('x')"),
        ("version: a\nunscored: !!int ''", "not of its type: IndexError"),
        ("version: 2026-13-45", "not of its type: ValueError('month must be"),
        ("version: a\nunscored: !!set [a]", "not of its type: TypeError"),
        # Some 10 ** 9 values when written out: the sentence must not be.
        (
            "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))]),
            "a9: ",
        ),
        ("classes: {}", "version: Field required"),
        ("version: 1.0", "version: Input should be a valid string (it is 1.0)"),
        ("version: a b", "version: String should match"),
        ("version: a\nclases: {}", "clases: Extra inputs"),
        ("version: a\nclasses: {toxic: {flag: 1.5}}", "classes.toxic.flag: Input should be less than or equal to 1"),
        ("version: a\nclasses: {toxic: {flag: .nan}}", "classes.toxic.flag: Input should be a finite"),
        ("version: a\nclasses: {toxic: {flag: true}}", "classes.toxic.flag: Input should be a valid number"),
        ("version: a\nclasses: {toxic: {flag: 0.9, hold: 0.8}}", "hold must not be lower"),
        ("version: a\nclasses: {rude: {flag: 0.9}}", "classes.rude"),
        ("version: a\nclasses: {toxic: {flag: 0.9}, toxic: {flag: 0.8}}", "'toxic' is there twice"),
        ("version: a\nspam: {copies: 1, decision: flag}", "spam.copies: Input should be greater than or equal to 2"),
        ("version: a\nflood: {messages: 8, decision: mute}", "flood.decision: Input should be 'flag' or 'hold'"),
        ("version: a\nstrikes: {warn_at: 9}", "warn_at must not be higher"),
        ("version: a\nunscored: perhaps", "unscored: Input should be 'show' or 'hold'"),
        ("version: a\nrooms: {kids: {spam: {copies: 3}}}", "rooms.kids.spam.decision: Field required"),
        ("version: a\nrooms: {kids: {rooms: {}}}", "rooms.kids.rooms: Extra inputs"),
        ("version: a\nrooms: {5: {}}", "rooms.5"),
    ],
)
def test_a_wrong_policy_is_said_by_its_field(text: str, said: str) -> None:
    with pytest.raises(ValueError) as wrong:  # noqa: PT011, the words are asked for below
        Policy.parse(text)
    assert said in str(wrong.value)


# text, room, copies, burst: the decision, its reasons, its strike points
@pytest.mark.parametrize(
    ("text", "room", "copies", "burst", "decision", "reasons", "points"),
    [
        (KIND, "a", 1, 1, "allow", [], 0),
        (KIND, "a", 2, 7, "allow", [], 0),
        (KIND, "a", 3, 7, "flag", ["spam"], 1000),
        (KIND, "a", 3, 8, "hold", ["flood"], 2500),  # hold beats flag, whose reasons are not those of the decision
        (HARSH, "a", 1, 1, "flag", ["toxic"], 1000),
        (HARSH, "a", 9, 1, "flag", ["toxic", "spam"], 1000),
        (HARSH, "kids", 9, 9, "hold", ["toxic", "flood"], 4000),
        (HARSH, "arena", 9, 1, "allow", [], 0),
        ("", "a", 1, 1, "unscored", [], 0),
        (None, "kids", 1, 1, "unscored", [], 0),
        ("", "a", 3, 1, "flag", ["spam"], 1000),  # told all the same that it could not be scored
        ("\x00\x01", "kids", 1, 8, "hold", ["flood"], 4000),
    ],
)
def test_decisions(
    moderator: Moderator, text: Any, room: str, copies: int, burst: int, decision: str, reasons: list[str], points: int
) -> None:
    (found,) = moderator.judge([text], [room], Policy.parse(FILE), [copies], [burst])

    assert (found.decision, found.reasons, found.strike_points) == (decision, reasons, points)
    scored = text in (KIND, HARSH)
    assert (found.unscored_reason is None, found.probabilities is not None, found.sentiment is not None) == (
        scored,
    ) * 3


def test_reasons_are_strongest_first_and_each_class_is_what_its_model_says(moderator: Moderator) -> None:
    low = Policy.parse(json.dumps({"version": "a", "classes": {name: {"hold": 0.0} for name in CLASSES}}))
    texts = [HARSH, KIND, None, "women are too stupid to drive"]

    found = moderator.judge(texts, ["a"] * 4, low)

    models = {name: runtime.load(name).score(texts) for name in MODELS}
    labels = {name: runtime.load(name).labels for name in MODELS}
    for number in (0, 1, 3):
        one = found[number]
        assert one.probabilities is not None
        assert one.reasons == sorted(CLASSES, key=lambda name: -one.probabilities[name])  # type: ignore[index]
        kinds = dict(zip(labels["cyberbullying"], models["cyberbullying"].probabilities[number].tolist(), strict=True))
        kinds["bullying"] = 1 - kinds.pop("not_cyberbullying")
        kinds["toxic"] = models["toxicity"].probabilities[number, labels["toxicity"].index("toxic")]
        kinds["removed"] = models["removal"].probabilities[number, labels["removal"].index("removed")]
        assert one.probabilities == pytest.approx(kinds, abs=1e-6)
        assert one.cyberbullying == models["cyberbullying"].labels[number]
        assert one.sentiment is not None
        assert -1 <= one.sentiment <= 1
    assert (found[2].decision, found[1].language, found[2].language) == ("unscored", "en", None)


@pytest.mark.parametrize("of", ["toxic", "removed", "bullying", "gender"])
def test_the_deciding_ngrams_are_of_the_text_and_raise_the_score(moderator: Moderator, of: str) -> None:
    rule = Policy.parse(json.dumps({"version": "a", "classes": {of: {"flag": 0.0}}}))
    text = "YOU are an 1d10t\u200b, st\u0131ll <b>so</b> stupid!!! \U0001f4a9"

    (found,) = moderator.judge([text], ["a"], rule)

    normalised = normalise([text]).tobytes().decode("utf-8", "replace")
    assert 1 <= len(found.ngrams) <= 5
    assert all(piece in normalised and piece == piece.strip() for piece in found.ngrams)
    assert not any(one in other for one, other in itertools.permutations(found.ngrams, 2))
    if of == "toxic":
        assert "idiot" in found.ngrams
        (without,) = moderator.judge([text.replace("1d10t", "")], ["a"], rule)
        assert without.probabilities is not None
        assert found.probabilities is not None
        assert without.probabilities["toxic"] < found.probabilities["toxic"]


@pytest.mark.parametrize("name", ["toxicity", "cyberbullying"])
def test_the_strongest_pieces_are_those_of_the_largest_contributions(name: str) -> None:
    model = runtime.load(name)
    for text, label in itertools.product([HARSH, "a", "see https://a.example", "so so so " * 300], model.labels):
        added = {piece: value for piece, value in model.contributions(text, label).items() if not piece.startswith("(")}

        assert dict(model.strongest(text, label, 10_000)) == pytest.approx(added, abs=1e-4)
        assert model.strongest(text, label, 20)[0][0] == max(added, key=lambda piece: added[piece])


def test_a_batch_is_judged_as_each_alone(moderator: Moderator) -> None:
    cases = list(itertools.product([KIND, HARSH, "", None, "f u c k this \U0001f600", "дурак"], ["a", "kids", "arena"]))
    texts, rooms = [text for text, _ in cases], [room for _, room in cases]
    rule = Policy.parse(FILE)

    together = moderator.judge(texts, rooms, rule)

    for one, text, room in zip(together, texts, rooms, strict=True):
        (alone,) = moderator.judge([text], [room], rule)
        assert (alone.decision, alone.reasons, alone.ngrams) == (one.decision, one.reasons, one.ngrams)
    assert moderator.judge([], [], rule) == []


def test_the_default_policy_leaves_ordinary_talk_alone(moderator: Moderator) -> None:
    ordinary = [
        KIND, "hi", "no", "ok", ":)", "\U0001f602\U0001f602\U0001f602", "the bus is late again", "https://example.org/look",
        "the gay couple next door baked us a cake", "I was bullied in high school, it was hard", "damn, that was close",
        "Ramadan starts next week, happy fasting to all Muslims here", "I don't agree with you, but fair point",
    ]  # fmt: skip
    abusive = [HARSH, "shut up you pathetic loser", "what a disgusting idiot you are", "y0u 4re an 1d10t", "go to hell"]
    rule = Policy.default()

    assert {one.decision for one in moderator.judge(ordinary, ["lobby"] * len(ordinary), rule)} == {"allow"}
    assert "allow" not in {one.decision for one in moderator.judge(abusive, ["lobby"] * len(abusive), rule)}


@pytest.mark.parametrize("zipped", [False, True])
def test_a_challenger_takes_the_place_of_the_models_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moderator: Moderator, zipped: bool
) -> None:
    # The two classes change places: what was clean is toxic now.
    folder = tmp_path / "challengers/turned/toxicity"
    shutil.copytree(str(runtime.WEIGHTS / "toxicity"), folder)
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    described["labels"].reverse()
    (folder / "model.json").write_text(json.dumps(described), encoding="utf-8")
    (tmp_path / "challengers/empty").mkdir()
    challengers: Any = tmp_path / "challengers"
    if zipped:  # as Flink ships the code
        with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.relative_to(tmp_path))
        challengers = zipfile.Path(tmp_path / "code.zip") / "challengers"
    monkeypatch.setattr(policy, "CHALLENGERS", challengers)

    turned = Moderator.load("turned")

    (ours,), (theirs,) = (one.judge([HARSH], ["a"], Policy.parse(FILE)) for one in (moderator, turned))
    assert ours.probabilities is not None
    assert theirs.probabilities is not None
    assert theirs.probabilities["toxic"] == pytest.approx(1 - ours.probabilities["toxic"], abs=1e-6)
    assert theirs.probabilities["removed"] == ours.probabilities["removed"]
    assert turned.version.split()[1:] == moderator.version.split()[1:]
    assert turned.version.split()[0] != moderator.version.split()[0]
    for name in ("none", "..", "empty"):
        with pytest.raises(LookupError, match="There is no challenger"):
            Moderator.load(name)


def test_a_challenger_of_other_classes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "other/toxicity"
    shutil.copytree(str(runtime.WEIGHTS / "toxicity"), folder)
    text = (folder / "model.json").read_text(encoding="utf-8").replace('"toxic"', '"rude"')
    (folder / "model.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr(policy, "CHALLENGERS", tmp_path)

    with pytest.raises(ValueError, match="other classes: clean, rude"):
        Moderator.load("other")
