"""models/monitor.py: drift of generated chats scored with the real models, agreement, and what an alert does."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar

import pytest

from models import monitor
from models.policy import Moderator, Policy

COMMON = """
the a to is it and of in that you for on this we have my are so just not with was but be at what they there all if
can do good now one like about get more out really think time know from up how your today some when see want then
""".split()  # noqa: SIM905
GARDEN = """
garden soil tomato seeds rain spring leaves roots compost shed spade flowers bees pruning apple pear plum hedge lawn
grass weeds harvest basket pumpkin beans onions carrots beetroot sunflower tulip bulbs frost greenhouse pots watering
mulch worms snails robin blackbird hedgehog path fence gate bench shade sunshine ripe juicy planting digging raking
""".split()  # noqa: SIM905
ENGINE = """
engine gearbox clutch piston exhaust tyre brake pedal torque diesel garage wrench spark plug battery oil filter axle
bumper bonnet mirror chassis wheel rim nut bolt radiator coolant leak noise idle mileage motorway overtake lane speed
driver pit lap circuit corner podium turbo valve cylinder fuel pump gasket welding rust paint inspection towing
""".split()  # noqa: SIM905
RUDE = ["you are a worthless idiot", "nobody wants you here", "shut up you stupid fool", "what a pathetic loser"]

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
Message = dict[str, Any]


@pytest.fixture(scope="module")
def moderator() -> Moderator:
    return Moderator.load()


def chat(
    moderator: Moderator, seed: int, words: list[str], count: int, start: datetime = NOON, hours: int = 6
) -> list[Message]:
    """`count` decided messages of 30 users, each with favourites among the words (Zipf); a few are rude."""
    chance = random.Random(seed)
    texts, users = [], []
    favourites = {user: chance.sample(words, 5) for user in range(30)}
    zipf = {of: list(accumulate(1 / rank for rank in range(1, number + 1))) for of, number in
            (("common", len(COMMON)), ("topic", len(words)))}  # fmt: skip
    for _ in range(count):
        user = min(int(chance.expovariate(0.15)), 29)
        length = max(2, min(25, round(chance.lognormvariate(1.9, 0.5))))
        said = [
            chance.choices(COMMON, cum_weights=zipf["common"])[0]
            if chance.random() < 0.5
            else chance.choice(favourites[user])
            if chance.random() < 0.2
            else chance.choices(words, cum_weights=zipf["topic"])[0]
            for _ in range(length)
        ]
        texts.append(" ".join([*said, *([chance.choice(RUDE)] if chance.random() < 0.05 else [])]))
        users.append(f"user {user}")
    times = sorted(start + timedelta(hours=hours * chance.random()) for _ in texts)
    judged = moderator.judge(texts, ["room"] * count, Policy.default())
    return [
        {
            "message_id": f"{seed}-{start:%d%H}-{number}",
            "room": "room",
            "user_name": user,
            "text": text,
            "server_time": time.isoformat().replace("+00:00", "Z"),
            "decision": one.decision,
            "reasons": one.reasons,
            **{name: (one.probabilities or {}).get(name) for name in ("toxic", "removed", "bullying")},
            "cyberbullying": one.cyberbullying,
            "sentiment": one.sentiment,
            "language": one.language,
            "copies": 1,
            "model_version": one.model_version,
        }
        for number, (text, user, time, one) in enumerate(zip(texts, users, times, judged, strict=True))
    ]


def alerts(reference: list[Message], current: list[Message]) -> set[str]:
    return {result.metric for result in monitor.drift(reference, current) if result.value > result.threshold}


def test_a_switched_vocabulary_is_found_and_an_unchanged_one_hardly_ever(moderator: Moderator) -> None:
    found, false = 0, []
    for seed in range(20):
        before = chat(moderator, 3 * seed, GARDEN, 400)
        found += "vocabulary" in alerts(before, chat(moderator, 3 * seed + 1, ENGINE, 150, NOON + timedelta(hours=6)))
        false.append(alerts(before, chat(moderator, 3 * seed + 2, GARDEN, 150, NOON + timedelta(hours=6))))

    assert found == 20
    assert sum(map(bool, false)) <= 1, false
