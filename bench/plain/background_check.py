"""jobs/background_check.py by hand: three models asked for each caption, keywords by one pattern, the documents of the
month and of the person written anew after each.

It leaves out: key phrases, negated keywords, pictures, the summary score, the archive in S3, and tombstones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import yaml

from bench.plain._loop import Event, Writer
from bench.plain._models import Label

MODELS = ("cyberbullying", "toxicity", "sentiment")


def keywords() -> list[str]:
    """All words of config/keywords.yaml."""

    def texts(node: Any) -> Iterator[str]:
        if isinstance(node, str):
            yield node
        elif isinstance(node, list | dict):
            for one in node.values() if isinstance(node, dict) else node:
                yield from texts(one)

    return sorted(set(texts(yaml.safe_load(resources.files("config").joinpath("keywords.yaml").read_text()))))


class Loop:
    """The work, event by event."""

    topics = ("user_basic_info", "user_posts_description")
    time = "taken_at"

    def __init__(self, writer: Writer, labels: Mapping[str, Label]) -> None:
        self._writer, self._labels = writer, labels
        self._profiles: dict[str, Event] = {}
        self._months: dict[tuple[str, str], Counter[str]] = {}
        self._people: dict[str, Counter[str]] = {}
        self._keywords = re.compile(rf"\b({'|'.join(map(re.escape, keywords()))})\b", re.IGNORECASE)

    def take(self, topic: str, event: Event, now: float) -> None:
        user = event["username"]
        person = self._people.setdefault(user, Counter())
        if topic == "user_basic_info":
            self._profiles[user] = event
        else:
            start = event["timestamp"][:7]
            month = self._months.setdefault((user, start), Counter())
            found = Counter(posts=1) + self._of_caption(event["caption"] or "")
            month.update(found)
            person.update(found)
            document = self._document(month) | {"username": user, "period_start": f"{start}-01T00:00:00Z"}
            self._writer.index("background_captions", f"{user}_{start}", document)
        if user in self._profiles:
            self._writer.index("background_checks", user, self._profiles[user] | self._document(person))

    def _of_caption(self, caption: str) -> Counter[str]:
        if not caption.strip():
            return Counter()
        labels = {name: label(caption) for name, label in self._labels.items()}
        return Counter(
            captions=1,
            toxic_captions=int(labels["toxicity"] == "toxic"),
            bullying_captions=int(labels["cyberbullying"] != "not_cyberbullying"),
            positive=int(labels["sentiment"] == "positive"),
            negative=int(labels["sentiment"] == "negative"),
        ) + Counter(f"keyword {word.lower()}" for word in self._keywords.findall(caption))

    def _document(self, counts: Counter[str]) -> dict[str, Any]:
        captions = counts["captions"]
        return {
            **{name: counts[name] for name in ("posts", "captions", "toxic_captions", "bullying_captions")},
            "toxic_share": counts["toxic_captions"] / captions if captions else None,
            "bullying_share": counts["bullying_captions"] / captions if captions else None,
            "sentiment_mean": (counts["positive"] - counts["negative"]) / captions if captions else None,
            "present_keywords": [
                {"keyword": name.removeprefix("keyword "), "posts": number}
                for name, number in counts.items()
                if name.startswith("keyword ")
            ],
        }
