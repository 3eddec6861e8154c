"""producers/synthetic_instagram.py: who the people are, what they post, and that it is the same again."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from producers._instagram_captions import CHARACTERS, FRIENDS, PLACES, TIMES
from producers._instagram_pictures import SCENES, picture
from producers._instagram_records import Post, Profile
from producers._usernames import username
from producers.synthetic_instagram import DEMO_USERS, DRAWN, new_posts, person, told
from udfs import keywords

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)


def posts_of(name: str, seed: int = 1, now: datetime = NOW, past: timedelta = YEAR) -> list[Post]:
    return list(person(name, seed).posts(now - past, now))


def test_the_five_of_the_demo_are_who_they_are_for_every_seed() -> None:
    sunny, grumpy, private, text_only, wordy = DEMO_USERS
    words = keywords.read()
    for seed in (1, 2, 77):
        found = {name: posts_of(name, seed) for name in DEMO_USERS}
        themes = {
            name: {match.theme for post in posts for match in keywords.find(post.caption or "", words)}
            for name, posts in found.items()
        }
        profile = person(private, seed).profile(NOW)

        assert (profile.status, profile.is_private, found[private]) == ("private", True, [])
        assert profile.bio
        assert profile.number_of_posts
        assert {name for name in DEMO_USERS if person(name, seed).profile(NOW).status == "ok"} == {*DEMO_USERS} - {
            private
        }
        assert not any(post.pictures for post in found[text_only])
        assert all(post.pictures for name in (sunny, grumpy, wordy) for post in found[name])
        assert themes[grumpy] >= {"weapons", "alcohol", "drugs"}
        assert themes[sunny] == themes[wordy] == themes[text_only] == set()
        for name in (sunny, grumpy, text_only, wordy):
            assert 25 <= len(found[name]) <= 85


def test_words_that_only_look_like_keywords_match_nothing_in_any_language() -> None:
    words = keywords.read()
    character = CHARACTERS["wordy"]
    tags = " ".join(f"#{tag}" for tag in character.hashtags)
    captions = {
        f"{sentence.format(place=place, time=when, thing=thing, friend=friend)} {tags}"
        for sentence in character.sentences
        for place, when, thing, friend in zip(
            PLACES, itertools.cycle(TIMES), itertools.cycle(character.things), itertools.cycle(FRIENDS), strict=False
        )
    }

    assert all(keyword in " ".join(captions) for keyword in ("gun", "gin", "rum"))  # the traps are there
    for language in (None, "en", "de", "es", "fr", "it", "pt", "tr"):
        assert {match for caption in captions for match in keywords.find(caption, words, language)} == set()


def test_the_same_seed_and_name_tell_the_same_posts_and_pictures_later_too() -> None:
    for name in ("demo_sunny_sue", "somebody.else", "x"):
        first = posts_of(name)
        later = posts_of(name, now=NOW + timedelta(days=40))
        both = {post.post_id for post in first} & {post.post_id for post in later}
        again = {post.post_id: post for post in later}

        assert both == {post.post_id for post in first if post.posted_at >= NOW - YEAR + timedelta(days=40)}
        for post in first:
            if post.post_id in both:
                other = again[post.post_id]
                assert post._replace(pictures=()) == other._replace(pictures=())
                assert [each.load() for each in post.pictures[:1]] == [each.load() for each in other.pictures[:1]]
        ids = {post.post_id for post in first}
        assert len(ids) == len(first)
        assert ids.isdisjoint(post.post_id for post in posts_of(name, seed=2))
        assert ids.isdisjoint(post.post_id for post in posts_of(f"{name}2"))


def test_posts_are_sane() -> None:
    for number in range(30):
        who = person(f"name{number}", 3)
        posts = posts_of(who.username, 3)
        if who.status != "ok":
            assert posts == []
            continue
        assert 25 <= len(posts) <= 85
        assert [post.posted_at for post in posts] == sorted(post.posted_at for post in posts)
        assert all(NOW - YEAR <= post.posted_at < NOW for post in posts)
        assert all(0 <= post.comments <= post.likes <= who.followers for post in posts)  # type: ignore[operator]
        assert all("{" not in (post.caption or "") for post in posts)
        earlier = who.profile(NOW - YEAR).number_of_posts
        assert who.profile(NOW).number_of_posts == (earlier or 0) + len(posts)


def test_any_name_is_a_person_with_a_character_and_some_are_private_or_missing() -> None:
    people = [person(f"name{number}", 1) for number in range(400)]
    characters = Counter(each.character for each in people)

    assert set(characters) == set(DRAWN)
    assert min(characters.values()) >= 25
    assert 10 <= sum(each.status == "private" for each in people) <= 60
    assert {each.status for each in people} == {"ok", "private"}
    assert person("missing_somebody", 1).profile(NOW) == Profile("missing_somebody", "missing")
    assert posts_of("missing_somebody") == []
    assert all(username(name) == name for name in (*DEMO_USERS, *FRIENDS))


def test_told_are_the_profiles_then_the_posts_of_all_by_time_of_each_the_newest() -> None:
    people = [person(name, 1) for name in DEMO_USERS]
    found = list(told(people, NOW - YEAR, NOW, max_posts=4))

    assert [each.username for each in found[:5]] == list(DEMO_USERS)
    posts = [each for each in found[5:] if isinstance(each, Post)]
    assert [post.posted_at for post in posts] == sorted(post.posted_at for post in posts)
    assert Counter(post.username for post in posts) == {name: 4 for name in DEMO_USERS if name != "demo_private_pia"}
    for name in DEMO_USERS[:2]:
        assert [post for post in posts if post.username == name][-1].post_id == posts_of(name)[-1].post_id


def test_new_posts_come_at_their_rate_with_the_count_of_the_profile_and_the_same_again() -> None:
    def some() -> list[Profile | Post]:
        now = [NOW.timestamp()]

        def sleep(seconds: float) -> None:
            now[0] += seconds

        people = [person(name, 1) for name in DEMO_USERS]
        return list(itertools.islice(new_posts(people, 4, clock=lambda: now[0], sleep=sleep), 40))

    found = some()
    posts = [each for each in found if isinstance(each, Post)]
    profiles = [each for each in found if isinstance(each, Profile)]

    assert [post.posted_at for post in posts] == [NOW + timedelta(seconds=15 * number) for number in range(1, 21)]
    assert [each.username for each in posts] == [each.username for each in profiles]
    counts = [each.number_of_posts for each in profiles if each.username == profiles[0].username]
    assert counts == list(range(counts[0] or 0, (counts[0] or 0) + len(counts)))
    assert "demo_private_pia" not in {post.username for post in posts}
    assert [each[:6] for each in some()] == [each[:6] for each in found]
    assert list(new_posts([person("demo_private_pia", 1)], 4)) == []


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_a_picture_is_a_small_jpeg_that_follows_from_its_seed(scene: str) -> None:
    one = picture(scene, "1")

    image = Image.open(io.BytesIO(one))
    assert (image.format, image.size, image.mode) == ("JPEG", (320, 320), "RGB")
    assert len(one) < 40_000
    assert picture(scene, "1") == one
    assert len({picture(scene, str(seed)) for seed in range(20)}) == 20
