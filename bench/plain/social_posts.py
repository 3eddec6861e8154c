"""jobs/social_posts.py by hand: three models asked for each post, and a document per post."""

from __future__ import annotations

from collections.abc import Mapping

from bench.plain._loop import Event, Writer
from bench.plain._models import Label

MODELS = ("cyberbullying", "toxicity", "sentiment")
AS_THEY_ARE = (
    "post_id", "user_id", "username", "platform", "post_type", "content_type", "topic", "hashtags", "location", "text",
    "likes", "shares", "comments", "views", "followers", "is_verified",
)  # fmt: skip


class Loop:
    """The work, event by event."""

    topics = ("social_media",)
    time = "timestamp"

    def __init__(self, writer: Writer, labels: Mapping[str, Label]) -> None:
        self._writer, self._labels = writer, labels

    def take(self, topic: str, event: Event, now: float) -> None:
        reactions = event["likes"] + event["shares"] + event["comments"]
        document = {field: event.get(field) for field in AS_THEY_ARE} | {
            "posted_at": event["timestamp"],
            "stated_sentiment": event["sentiment"],
            "stated_language": event["language"],
            "engagement_rate": reactions / event["views"] if event["views"] else None,
            "is_influencer": event["followers"] >= 50_000,
            "is_viral": reactions >= 1000 and event["views"] >= 3 * event["followers"],
            "cyberbullying": self._labels["cyberbullying"](event["text"]),
            "is_toxic": self._labels["toxicity"](event["text"]) == "toxic",
            "sentiment": self._labels["sentiment"](event["text"]),
        }
        self._writer.index("social_posts", event["post_id"], document)
