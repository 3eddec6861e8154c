"""What a policy makes of the models' scores of chat messages: allow, flag, hold or unscored, and why.

`Policy` is config/moderation_policy.yaml, or another version of it, checked; `Moderator` scores texts once with all
four models and judges them. A flag is an aid to people: a flagged message is shown blurred, a held one not at all.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from config import read_yaml
from models import runtime
from models.language import languages
from models.runtime import Model, Scorer
from models.text import normalise
from settings import settings

CLASSES = (
    "toxic", "removed", "bullying", "age", "ethnicity", "gender", "religion", "other_cyberbullying",
)  # fmt: skip
REASONS = (*CLASSES, "spam", "flood")
DECISIONS = ("allow", "flag", "hold")
UNSCORED = "unscored"
MODELS = ("toxicity", "removal", "cyberbullying", "sentiment")
CHALLENGERS = resources.files("models") / "challengers"
MOST_NGRAMS = 5
CANDIDATES = 100  # among which those are that are within no other

Decision = Literal["flag", "hold"]
Share = Annotated[float, Field(ge=0, le=1)]
Points = Annotated[float, Field(ge=0, le=1000)]
Floats = NDArray[np.float64]
Form = TypeVar("Form", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Thresholds(_Part):
    """From which probability on a message is flagged, and held; None: never."""

    flag: Share | None = None
    hold: Share | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Thresholds:
        if self.flag is not None and self.hold is not None and self.hold < self.flag:
            raise ValueError("hold must not be lower than flag")
        return self


class Spam(_Part):
    """The decision on a user's message when it is this many-th copy, or a later one."""

    copies: int = Field(ge=2, le=1000)
    decision: Decision


class Flood(_Part):
    """The decision on a user's message when it is this many-th within a short time, or a later one."""

    messages: int = Field(ge=2, le=10_000)
    decision: Decision


class Strikes(_Part):
    """What a flagged and a held message weigh; from which sum on a user is warned, and muted, and for how long."""

    flag: Points = 1
    hold: Points = 1
    warn_at: Annotated[float, Field(gt=0, le=10_000)] = 2.5
    mute_at: Annotated[float, Field(gt=0, le=10_000)] = 4.5
    mute_minutes: int = Field(10, ge=1, le=43_200)

    @model_validator(mode="after")
    def _in_order(self) -> Strikes:
        if self.warn_at > self.mute_at:
            raise ValueError("warn_at must not be higher than mute_at")
        return self


class RoomPolicy(_Part):
    """What holds in one room.

    unscored: whether a message that cannot be scored is shown to others, or held
    spam, flood: None for never
    """

    unscored: Literal["show", "hold"] = "show"
    classes: dict[
        Literal["toxic", "removed", "bullying", "age", "ethnicity", "gender", "religion", "other_cyberbullying"],
        Thresholds | None,
    ] = {}
    spam: Spam | None = None
    flood: Flood | None = None
    strikes: Strikes = Strikes()

    @cached_property
    def thresholds(self) -> Floats:
        """(2, REASONS): from which value on each reason flags, and holds; infinite for never."""
        limits = np.full((2, len(REASONS)), np.inf)
        for name, of_class in self.classes.items():
            for row, value in enumerate((of_class.flag, of_class.hold) if of_class else ()):
                if value is not None:
                    limits[row, REASONS.index(name)] = value
        if self.spam:
            limits[int(self.spam.decision == "hold"), REASONS.index("spam")] = self.spam.copies
        if self.flood:
            limits[int(self.flood.decision == "hold"), REASONS.index("flood")] = self.flood.messages
        return limits


class _File(RoomPolicy):
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")
    rooms: dict[Annotated[str, Field(min_length=1, max_length=64)], dict[str, Any]] = {}


@dataclass(frozen=True)
class Policy:
    """A version of the policy: what holds in the rooms that it names, and in all others."""

    version: str
    base: RoomPolicy
    rooms: Mapping[str, RoomPolicy]
    source: str

    @staticmethod
    def parse(text: str) -> Policy:
        """The policy of a file's text, YAML or JSON. Raises ValueError with a sentence that names each wrong field."""
        content = _content(text)
        if not isinstance(content, dict):
            raise ValueError('The policy has no fields: begin with its version, as in `version: "1.0.0"`.')
        file = _checked(_File, content, "")
        common = {name: value for name, value in content.items() if name not in ("version", "rooms")}
        return Policy(
            file.version,
            _checked(RoomPolicy, common, ""),
            {
                room: _checked(RoomPolicy, _overridden(common, changes), f"rooms.{room}.")
                for room, changes in file.rooms.items()
            },
            json.dumps(content, sort_keys=True, ensure_ascii=False),
        )

    @staticmethod
    def default() -> Policy:
        """The policy of the file that the settings name, else config/moderation_policy.yaml.

        Raises ValueError for a file that cannot be read or is wrong.
        """
        file: Traversable = settings().moderation_policy_file or resources.files("config") / "moderation_policy.yaml"
        try:
            return Policy.parse(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{file}: {error}") from None

    def to_json(self) -> str:
        """The policy as one line of JSON: the same content gives the same text, and `parse` reads it."""
        return self.source

    def room(self, name: str) -> RoomPolicy:
        """What holds in a room."""
        return self.rooms.get(name, self.base)


def _content(text: str) -> object:
    """What the text of a file holds. Raises ValueError with a sentence.

    JSON is read as such: PyYAML takes its 5e-05 for text.
    """
    if not text.lstrip().startswith("{"):
        try:
            return read_yaml(text)
        except ValueError as error:
            raise ValueError(f"The policy {error}") from None
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("The policy has too many brackets within one another: write it flatter.") from None
    except ValueError as error:
        raise ValueError(f"The policy begins with {{ and is no JSON: {' '.join(str(error).split())}.") from None


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises ValueError for a name that is there twice, as `read_yaml` does."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} is there twice; put both together")
        found[name] = value
    return found


def _checked(form: type[Form], content: object, where: str) -> Form:
    try:
        return form.model_validate(content)
    except ValidationError as error:
        wrong = [
            f"{where}{'.'.join(map(str, one['loc']))}: {one['msg']} (it is {reprlib.repr(one['input']):.60})"
            for one in error.errors()
        ]
        raise ValueError(f"The policy is wrong. {'; '.join(wrong)}.") from None


def _overridden(common: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The common values with those of a room in their place, value by value."""
    merged = dict(common)
    for name, value in changes.items():
        below = common.get(name)
        merged[name] = _overridden(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


@dataclass(frozen=True)
class Scored:
    """What the models say of n texts.

    probabilities: (n, CLASSES); nan where the text is unscored
    cyberbullying: the label, None where the text is unscored
    sentiment: mean in [-1, 1]; nan where the text is unscored
    languages: ISO 639-1 or `und`, None for no text
    reasons: why a text is unscored (see `models.text.unscored_reason`), None where it is scored
    """

    probabilities: Floats
    cyberbullying: list[str | None]
    sentiment: Floats
    languages: list[str | None]
    reasons: list[str | None]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is decided of one message.

    decision: `allow`, `flag`, `hold`, or `unscored` for a text that the models cannot score
    reasons: the classes at or over the threshold of the decision, strongest first, then `spam`, `flood`
    ngrams: what of the normalised text decided, strongest first, at most MOST_NGRAMS; of the first class of `reasons`
    probabilities: by class, None where the text is unscored
    sentiment: mean in [-1, 1], None where the text is unscored
    strike_points: 1000 times what the message weighs as a strike
    """

    decision: str
    reasons: list[str]
    ngrams: list[str]
    probabilities: dict[str, float] | None
    cyberbullying: str | None
    sentiment: float | None
    language: str | None
    unscored_reason: str | None
    strike_points: int
    model_version: str


class Moderator:
    """Judges texts by the scores of the four models; each text is normalised and cut into features once."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = dict(models)
        self._scorer = Scorer([models[name] for name in MODELS])
        self.version = " ".join(models[name].version for name in MODELS)

    @staticmethod
    def load(challenger: str = "") -> Moderator:
        """The moderator of the models in models/weights, or with those in models/challengers/<challenger> in their
        place.

        It has scored a text: so the first message does not wait for what is loaded then. Raises LookupError for a
        challenger that is not there, ValueError for one of other classes.
        """
        models = {name: runtime.load(name) for name in MODELS}
        for name in challenger_models(challenger) if challenger else ():
            found = runtime.load(name, CHALLENGERS / challenger)
            if set(found.labels) != set(models[name].labels):
                raise ValueError(
                    f"{name} of the challenger {challenger!r} has other classes: {', '.join(found.labels)}."
                )
            models[name] = found
        moderator = Moderator(models)
        moderator.score(["Quelle belle journée"])
        return moderator

    def score(self, texts: Sequence[object]) -> Scored:
        """The scores of a batch; a value that is no text that can be scored is unscored, with the reason."""
        results = dict(zip(MODELS, self._scorer.score(texts), strict=True))

        def of(model: str, label: str) -> Floats:
            column: Floats = results[model].probabilities[:, self._models[model].labels.index(label)].astype(np.float64)
            return column

        columns = [of("toxicity", "toxic"), of("removal", "removed"), 1 - of("cyberbullying", "not_cyberbullying")]
        columns += [of("cyberbullying", name) for name in CLASSES[3:]]
        return Scored(
            np.stack(columns, axis=1),
            results["cyberbullying"].labels,
            of("sentiment", "positive") - of("sentiment", "negative"),
            languages(texts),
            results["toxicity"].reasons,
        )

    def judge(
        self,
        texts: Sequence[object],
        rooms: Sequence[str],
        policy: Policy,
        copies: Sequence[float] | None = None,
        bursts: Sequence[float] | None = None,
    ) -> list[Judgement]:
        """Scores the messages and decides on them; copies and bursts as `decide` takes them."""
        return self.decide(texts, self.score(texts), [policy.room(room) for room in rooms], copies, bursts)

    def decide(
        self,
        texts: Sequence[object],
        scored: Scored,
        policies: Sequence[RoomPolicy],
        copies: Sequence[float] | None = None,
        bursts: Sequence[float] | None = None,
    ) -> list[Judgement]:
        """Decides on messages that this moderator has scored, each by the policy of its room.

        copies: how many copies of a message its user has sent of late, itself included; None: 1 each
        bursts: how many messages its user has sent just now, itself included; None: 1 each
        """
        if not len(texts):
            return []
        ones = [1] * len(texts)
        counts = np.array([ones if copies is None else copies, ones if bursts is None else bursts], np.float64).T
        values = np.concatenate((scored.probabilities, counts), axis=1)
        limits = np.stack([policy.thresholds for policy in policies])
        over = values[:, None, :] >= limits  # what is unscored is nan, which is over nothing
        flagged, held = over.any(axis=2).T
        levels = np.where(held, 2, flagged.astype(np.int64))
        # Classes by their probability, the strongest first; the counts stay behind them.
        order = np.argsort(-scored.probabilities, axis=1, kind="stable")
        judgements = []
        for number, (level, row, mean) in enumerate(
            zip(levels.tolist(), scored.probabilities.tolist(), scored.sentiment.tolist(), strict=True)
        ):
            reason, policy = scored.reasons[number], policies[number]
            reasons: list[str] = []
            ngrams: list[str] = []
            if level:
                passed = over[number, level - 1]
                at = [*order[number], *range(len(CLASSES), len(REASONS))]
                reasons = [REASONS[index] for index in at if passed[index]]
                if reasons[0] in CLASSES:
                    ngrams = self._ngrams(str(texts[number]), reasons[0], row)
            weight = (0, policy.strikes.flag, policy.strikes.hold)[level]
            judgements.append(
                Judgement(
                    UNSCORED if reason and not level else DECISIONS[level],
                    reasons,
                    ngrams,
                    None if reason else dict(zip(CLASSES, row, strict=True)),
                    scored.cyberbullying[number],
                    None if reason else mean,
                    scored.languages[number],
                    reason,
                    round(1000 * weight),
                    self.version,
                )
            )
        return judgements

    def _ngrams(self, text: str, of: str, probabilities: Sequence[float]) -> list[str]:
        """The pieces of a text that add most to the score of a class; none that is within another one or holds it."""
        model, label = {"toxic": ("toxicity", "toxic"), "removed": ("removal", "removed")}.get(
            of, ("cyberbullying", of)
        )
        if of == "bullying":  # no class of the model: of the kinds of bullying, the likeliest
            label = max(CLASSES[3:], key=lambda name: probabilities[CLASSES.index(name)])
        words = set(bytes(normalise([text])).strip(b"\xff").decode("utf-8", "replace").split())
        chosen: list[str] = []
        for piece, value in self._models[model].strongest(text, label, CANDIDATES):
            if value <= 0 or len(chosen) == MOST_NGRAMS:
                break
            piece = piece.strip()
            # A letter or two of a longer word tell a reader nothing; a character cut in half is no text.
            shown = len(piece.encode()) > (1 if piece in words else 2) and "\ufffd" not in piece
            if shown and not any(piece in other or other in piece for other in chosen):
                chosen.append(piece)
        return chosen


def challenger_models(name: str) -> list[str]:
    """Which of MODELS the folder models/challengers/<name> has. Raises LookupError when it has none of them."""
    there = [entry.name for entry in CHALLENGERS.iterdir()] if CHALLENGERS.is_dir() else []
    # Only what is listed: a name such as ".." leads elsewhere.
    found = [model for model in MODELS if model in runtime.names(CHALLENGERS / name)] if name in there else []
    if not found:
        raise LookupError(
            f"There is no challenger {name!r} in models/challengers with a model of {', '.join(MODELS)}. "
            f"Challengers: {', '.join(sorted(there)) or 'none'}; `python -m models.retrain` makes one."
        )
    return found
