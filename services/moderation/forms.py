"""The forms of requests and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.moderation.chat import MAX_ID, MAX_NAME
from settings import settings

Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Identity = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID)]


class Asked(BaseModel):
    """One text, or up to 1,000."""

    model_config = ConfigDict(extra="forbid")

    text: Text | None = None
    texts: Annotated[list[Text], Field(min_length=1, max_length=1000)] | None = None
    room: Name | None = Field(None, description="Whose policy counts; none: that of rooms without one of their own.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Asked:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either text or texts")
        return self


class Result(BaseModel):
    """What the models say of one text, and what the policy in force makes of it."""

    scores: dict[str, float] | None = Field(description="Probabilities by class; null where the text is unscored.")
    label: str | None = Field(description="The likeliest kind of bullying, or not_cyberbullying.")
    sentiment: float | None = Field(description="From -1 to 1.")
    language: str | None
    decision: Literal["allow", "flag", "hold", "unscored"]
    reasons: list[str]
    ngrams: list[str] = Field(description="What of the normalised text decided, the strongest first.")
    unscored_reason: str | None


class Results(BaseModel):
    """One result for each text, in their order."""

    results: list[Result]
    model_version: str
    policy_version: str


class ModelShown(BaseModel):
    """A model of the service."""

    name: str
    version: str
    labels: list[str]
    languages: list[str]


class ModelsShown(BaseModel):
    """The models, the policy in force, and what runs in shadow."""

    models: list[ModelShown]
    model_version: str
    policy_version: str
    shadow_models: str | None = Field(description="The challenger whose models run in shadow.")
    shadow_policy_version: str | None


class Session(BaseModel):
    """Who asks."""

    name: str
    is_moderator: bool
    keys_are_on: bool


class KeyGiven(BaseModel):
    """An API key, to begin a session of a page."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class VerdictGiven(BaseModel):
    """What a moderator says of the decision on a message: it was right, or it was wrong."""

    model_config = ConfigDict(extra="forbid")

    message_id: Identity
    verdict: Literal["uphold", "overturn"]


class MuteGiven(BaseModel):
    """For how long a user may not write; at most as long as the service remembers."""

    model_config = ConfigDict(extra="forbid")

    minutes: int = Field(ge=1, le=settings().moderation_history_minutes)


class MessageShown(BaseModel):
    """A message with all that is known of it; other fields are those of moderation_decisions."""

    model_config = ConfigDict(extra="allow")

    message_id: str
    room: str
    user_name: str
    text: str
    server_time: str
    client_time: str | None
    state: Literal["checking", "clean", "flagged", "held", "unscored"]
    decision: str | None
    reasons: list[str]
    ngrams: list[str]
    queue: str | None = Field(description="The moderators' queue that it is in.")
    is_sampled: bool = Field(description="Allowed, and of the share that moderators look at.")
    verdict: str | None
    moderator: str | None
    verdict_time: str | None


class Queue(BaseModel):
    """Messages that wait for a moderator, the newest first."""

    messages: list[MessageShown]
    counts: dict[str, int] = Field(description="How many wait, by queue.")
    rooms: list[str] = Field(description="The rooms in which any wait.")


class UserShown(BaseModel):
    """A user: the last messages, the newest first, and what counts against the user now."""

    user_name: str
    strikes: float
    muted_until: str | None
    messages: list[MessageShown]
    verdicts: list[dict[str, Any]] = Field(description="Events of moderators about the user, the newest first.")


class Standing(BaseModel):
    """A user's strikes and mute now."""

    user_name: str
    strikes: float
    muted_until: str | None


class Status(BaseModel):
    """That all is well."""

    status: Literal["ok"] = "ok"


class Problem(BaseModel):
    """What is wrong, as a sentence."""

    detail: str
