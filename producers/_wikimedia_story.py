"""What happens on the wikis of the generated events: who does what to which page, and what comes of it.

`Story` draws one change after the other; producers/synthetic_wikimedia.py tells each as Wikimedia's streams would.
What follows from a change (an edit undone, a page moved, a revision hidden) comes so many changes later, not so many
seconds: the story is the same at any rate. Fifty changes are about a second of the public stream `recentchange`.
"""

from __future__ import annotations

import heapq
import itertools
import random
import zlib
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import NamedTuple

# Wiki, host, share of the events, words that its titles are made of.
_LATIN = ("River", "Stone", "Orchard", "Harbor", "Meridian", "Lantern", "Quarry", "Willow")
WIKIS: list[tuple[str, str, float, Sequence[str]]] = [
    ("wikidatawiki", "www.wikidata.org", 22, ()),
    ("commonswiki", "commons.wikimedia.org", 18, ("Bridge", "Market", "Tower", "Field")),
    ("enwiki", "en.wikipedia.org", 16, _LATIN),
    ("dewiki", "de.wikipedia.org", 5, ("Fluss", "Brücke", "Garten", "Hafen", "Straße")),
    ("frwiki", "fr.wikipedia.org", 5, ("Rivière", "Forêt", "Église", "Marché")),
    ("eswiki", "es.wikipedia.org", 4, ("Montaña", "Río", "Camino", "Peña")),
    ("ruwiki", "ru.wikipedia.org", 4, ("Река", "Мост", "Озеро", "Сад")),
    ("jawiki", "ja.wikipedia.org", 3, ("川", "橋", "庭園", "港町")),
    ("zhwiki", "zh.wikipedia.org", 3, ("河流", "桥梁", "花园", "港口")),
    ("viwiki", "vi.wikipedia.org", 3, ("Sông", "Cầu", "Vườn", "Cảng")),
    ("arwiki", "ar.wikipedia.org", 2, ("نهر", "جسر", "حديقة")),
    ("itwiki", "it.wikipedia.org", 2, ("Fiume", "Ponte", "Giardino")),
    ("ptwiki", "pt.wikipedia.org", 2, ("Rio", "Ponte", "Jardim")),
    ("svwiki", "sv.wikipedia.org", 2, ("Älv", "Bro", "Trädgård")),
    ("ukwiki", "uk.wikipedia.org", 1.5, ("Річка", "Міст", "Сад")),
    ("kowiki", "ko.wikipedia.org", 1.2, ("강", "다리", "정원")),
    ("cswiki", "cs.wikipedia.org", 1, ("Řeka", "Most", "Zahrada")),
    ("hewiki", "he.wikipedia.org", 1, ("נהר", "גשר", "גן")),
    ("dawiki", "da.wikipedia.org", 0.7, ("Å", "Bro", "Have")),
    ("etwiki", "et.wikipedia.org", 0.6, ("Jõgi", "Sild", "Aed")),
    ("kywiki", "ky.wikipedia.org", 0.5, ("Дарыя", "Көпүрө", "Бак")),
    ("elwiki", "el.wikipedia.org", 0.5, ("Ποταμός", "Γέφυρα", "Κήπος")),
    ("hiwiki", "hi.wikipedia.org", 0.5, ("नदी", "पुल", "बाग")),
    ("simplewiki", "simple.wikipedia.org", 0.4, _LATIN),
    ("enwiktionary", "en.wiktionary.org", 1.2, ("lantern", "quarrying", "overbridge")),
    ("frwiktionary", "fr.wiktionary.org", 0.5, ("rivière", "pont")),
    ("dewikisource", "de.wikisource.org", 0.3, ("Seite", "Register")),
    ("metawiki", "meta.wikimedia.org", 0.4, ("Grants", "Meetings")),
    ("specieswiki", "species.wikimedia.org", 0.3, ("Lapidaria", "Fluviatilia")),
    ("testwiki", "test.wikipedia.org", 0.1, ("Sandbox",)),
]
_WIKI_SHARES = tuple(itertools.accumulate(share for _, _, share, _ in WIKIS))
_INDEX = {wiki: index for index, (wiki, *_) in enumerate(WIKIS)}
_BOTS = tuple(f"{name}Bot" for name in (
    "Ferry", "Ledger", "Tidy", "Compass", "Beacon", "Sieve", "Almanac", "Courier", "Thimble", "Anvil",
    "Gable", "Marlin", "Pivot", "Rivet", "Sable", "Tinder", "Umber", "Vellum", "Wicker", "Zephyr",
))  # fmt: skip
_NAMES = ("Aster", "Briar", "Cedar", "Delphine", "Ember", "Fjord", "Ginkgo", "Hazel", "Iris", "Juniper", "Кедр", "桜")
_COMMENTS = (
    "", "", "fixed a link", "typo", "added a source", "/* History */ new section", "reworded the lead", "rv",
    "grammar", "+ category", "/* Sources */ dead link", "undid an edit without a source", "обновлено", "опечатка",
    "出典を追加", "誤字修正", "增加来源", "出处", "출처 추가", "Zahlen ergänzt", "Tippfehler", "correction d’une date",
    "orthographe", "thêm nguồn", "sửa lỗi chính tả", "булак кошулду", "stavning", "kirjaviga", "překlep", "stavefejl",
    "إضافة مصدر", "הוספת מקור", "स्रोत जोड़ा",
)  # fmt: skip
_OPINIONS = (
    "I think the first section should be split", "reply: the source says otherwise", "summary of the discussion so far",
    "question about the sorting of the list", "agreed, with one change", "proposal for a shorter lead", "thanks, done",
)  # fmt: skip
_PEOPLE_KINDS = ("edit", "new", "categorize", "log", "external", "142")
_PEOPLE_SHARES = tuple(itertools.accumulate((64.0, 3.0, 27.0, 5.0, 0.8, 0.2)))
_BOT_KINDS = ("edit", "new", "categorize", "log")
_BOT_SHARES = tuple(itertools.accumulate((80.0, 4.0, 15.0, 1.0)))
_LOGS = ("patrol", "upload", "block", "thanks")

# Of the edits of each kind of user: the share that does harm, the share of those that is meant well, and the share of
# the harmless ones that is not.
_HARM = {
    "bot": (0.001, 0.9, 0.0),
    "old": (0.008, 0.7, 0.004),
    "new": (0.16, 0.65, 0.02),
    "temporary": (0.2, 0.4, 0.03),
    "anonymous": (0.24, 0.3, 0.04),
}
_UNDONE = {True: 0.35, False: 0.7}  # share of the harmful edits that somebody undoes, by whether they were meant well
_HIDDEN_USER = 0.004  # share of people's edits whose user is suppressed from the start
_REVISION_HIDDEN = 0.006  # share of people's revisions that are hidden afterwards; of vandalism ten times as many
_PAGES = 20_000  # per wiki, before the story begins
_PEOPLE = 600  # per wiki
_TALK = 0.05  # share of people's edits that is on talk pages

_ADMINS = ("Orrin Vale", "Saffi", "Теодора")
_HIDES = tuple(map(frozenset, (("user",), ("comment",), ("user", "comment"), ("text", "user", "comment"))))

# Accounts without the bot flag that edit like machines: one tiny edit in so many changes, always the same comment.
_MACHINES = ("Marrow Fenwick", "Quillon7", "Stillwater")
_MACHINE_EVERY = 150
_MACHINE_BEAT = 10
# A bot that edits like a person: seldom, much, about this and that, on talk pages.
_TALKATIVE_BOT = "ParlourBot"
_TALKATIVE_EVERY = 600


class User(NamedTuple):
    """Who does something. `kind`: bot, old (an account of long standing), new, temporary or anonymous."""

    name: str
    kind: str
    id: int | None = None
    edits: int = 0
    registered: datetime | None = None
    groups: tuple[str, ...] = ("*",)

    @property
    def is_bot(self) -> bool:
        return self.kind == "bot"


class Page(NamedTuple):
    """A page of a wiki under the title that it has at the time."""

    wiki: str
    domain: str
    title: str
    id: int
    namespace: int


@dataclass(slots=True)
class Change:
    """One thing that happened to a page.

    `kind` is the type that recentchange gives it. What is done to a page as a whole or to a revision of it is of the
    kind `log`; `action` says what: move, delete, restore, hide, or one that nothing but recentchange tells. The first
    four are `about` the edit that made the revision in question. An edit is about itself: None.
    """

    number: int
    id: str
    request_id: str
    dice: int  # 128 random bits, of which each stream takes its own chances
    time: datetime
    page: Page
    kind: str
    user: User
    comment: str
    action: str = ""
    about: Change | None = None
    minor: bool = False
    old_length: int = 0
    new_length: int = 0
    revision: int = 0
    parent: int = 0
    damaging: bool = False
    goodfaith: bool = True
    user_hidden: bool = False  # suppressed from the start
    old_title: str = ""  # of a page that is moved
    hides: frozenset[str] = frozenset()  # of text, user and comment
    restricted: bool = False  # suppressed: nobody is told who did it
    of_latest: bool = True  # about the revision that the page has now

    @property
    def is_edit(self) -> bool:
        return self.kind in ("edit", "new")

    @property
    def is_vandalism(self) -> bool:
        return self.damaging and not self.goodfaith

    @property
    def edit(self) -> Change:
        """The edit that made the revision."""
        return self.about or self

    def chance(self, place: int) -> float:
        """A random number in [0, 1) of this change, in each of 12 places another."""
        return (self.dice >> 10 * place & 1023) / 1024


# What comes of a change (the second argument) at this time: another change, or None where things have moved on.
_Sequel = Callable[[datetime, Change], Change | None]


class Story:
    """Draws one change after the other. `start` dates the accounts: how old they are depends on the seed alone."""

    def __init__(self, seed: int, start: datetime) -> None:
        self._random = random.Random(seed)
        self._start = start
        self._number = -1
        # Another seed tells of other revisions.
        first = 100_000_000 * (1 + abs(seed - 1) % 1_000_000)
        self._revisions = {wiki: first + 1_000_000 * index for index, (wiki, *_) in enumerate(WIKIS)}
        self._new_pages = [_PAGES] * len(WIKIS)
        self._latest: dict[int, tuple[int, int]] = {}  # page id -> length and revision
        self._registered: dict[int, User] = {}
        self._temporary: dict[int, User] = {}
        self._sequels: list[tuple[int, int, _Sequel, Change]] = []  # a heap, by when they are due
        self._sequel_numbers = itertools.count()
        self._bots = [
            self._account(name, "bot", days=1_000 + 90 * number, edits=1_000_000 + 1_000 * number)
            for number, name in enumerate(_BOTS)
        ]
        self._admins = [self._account(name, "old", days=4_000, edits=30_000, rights=("sysop",)) for name in _ADMINS]
        self._machines = [self._account(name, "old", days=70, edits=25_000) for name in _MACHINES]
        self._talkative_bot = self._account(_TALKATIVE_BOT, "bot", days=900, edits=700)

    def next(self, time: datetime, told: datetime, is_late: bool = False) -> Change:
        """The next change, of `time`; those who edit by the clock do it when it is `told`.

        What comes of another change is never late: it would be told as having come before its cause.
        """
        self._number += 1
        machine, beat = divmod(self._number % _MACHINE_EVERY, _MACHINE_EVERY // len(_MACHINES))
        if beat == _MACHINE_BEAT:
            return self._machine_edit(time if is_late else told, machine)
        while not is_late and self._sequels and self._sequels[0][0] <= self._number:
            _, _, sequel, cause = heapq.heappop(self._sequels)
            if change := sequel(max(time, cause.time), cause):
                return change
        if self._number % _TALKATIVE_EVERY == _TALKATIVE_EVERY // 2:
            return self._talkative_edit(time)
        return self._ordinary_change(time)

    def _ordinary_change(self, time: datetime) -> Change:
        uniform = self._random.random
        wiki = bisect(_WIKI_SHARES, uniform() * _WIKI_SHARES[-1], hi=len(WIKIS) - 1)
        is_bot = uniform() < (0.45 if wiki < 2 else 0.2)
        kinds, shares = (_BOT_KINDS, _BOT_SHARES) if is_bot else (_PEOPLE_KINDS, _PEOPLE_SHARES)
        kind = kinds[bisect(shares, uniform() * shares[-1], hi=len(shares) - 1)]
        user = self._bots[int(uniform() ** 2 * 5_000) % len(_BOTS)] if is_bot else self._person(wiki)
        number = int(uniform() ** 3 * _PAGES)  # few pages are edited often, many seldom
        if kind == "edit":
            return self._edit(time, _page(wiki, number, not is_bot and uniform() < _TALK), user)
        if kind == "new":
            number = self._new_pages[wiki]
            self._new_pages[wiki] += 1
            return self._edit(time, _page(wiki, number), user, kind)
        page = _category(wiki, number) if kind == "categorize" else _page(wiki, number)
        change = self._change(time, page, kind, user, self._comment(user))
        if kind == "log":
            change.action = _LOGS[change.number % len(_LOGS)]
        change.user_hidden = not is_bot and uniform() < _HIDDEN_USER
        return change

    def _edit(self, time: datetime, page: Page, user: User, kind: str = "edit") -> Change:
        """An edit with its harm, and what is to come of it."""
        uniform = self._random.random
        harmful, meant_well, ill_meant = _HARM[user.kind]
        damaging = uniform() < harmful
        goodfaith = uniform() < meant_well if damaging else uniform() >= ill_meant
        if kind == "new":
            length = 50 + int(uniform() * 5_000)
        else:
            length = self._new_length(self._latest_of(page)[0], damaging, goodfaith)
        change = self._revision(time, page, user, self._comment(user), length, kind)
        change.minor = uniform() < 0.2
        change.damaging = damaging
        change.goodfaith = goodfaith
        if user.kind != "bot":
            change.user_hidden = uniform() < _HIDDEN_USER
            self._plan(change)
        return change

    def _new_length(self, old: int, damaging: bool, goodfaith: bool) -> int:
        """Of vandalism, half blanks most of a page; of mistakes, a third loses some of it."""
        uniform = self._random.random
        if damaging and uniform() < (0.33 if goodfaith else 0.5):
            return int(old * uniform() * (0.8 if goodfaith else 0.2))
        if uniform() < 0.06:
            return old
        return max(1, old + int(self._random.gauss(40, 250)))

    def _plan(self, change: Change) -> None:
        """What comes of a person's edit, decided now."""
        uniform = self._random.random
        if change.kind == "new":
            fate = uniform()
            if change.is_vandalism or fate < 0.1:
                self._later(self._deleted, change)
            elif fate < 0.25:
                self._later(self._moved, change)
        elif change.damaging and not change.user_hidden and uniform() < _UNDONE[change.goodfaith]:
            self._later(self._undone, change)
        else:
            self._plan_to_hide(change)

    def _plan_to_hide(self, change: Change) -> None:
        share = _REVISION_HIDDEN * (10 if change.is_vandalism else 1)
        if not change.user_hidden and self._random.random() < share:
            self._later(self._hidden, change)

    def _later(self, sequel: _Sequel, cause: Change) -> None:
        """Two to sixty seconds of `recentchange` later, or ten to three hundred of all streams together."""
        due = self._number + 100 + int(self._random.random() * 2_900)
        heapq.heappush(self._sequels, (due, next(self._sequel_numbers), sequel, cause))

    def _undone(self, time: datetime, cause: Change) -> Change | None:
        """Another user brings the page back to what it was, unless it has been edited since.

        Only then may the revision be hidden, for the comment names its user.
        """
        self._plan_to_hide(cause)
        if self._latest_of(cause.page)[1] != cause.revision:
            return None
        name = cause.user.name
        comment = (
            f"Undid revision {cause.revision} by [[Special:Contributions/{name}|{name}]] ([[User talk:{name}|talk]])"
        )
        wiki = _INDEX[cause.page.wiki]
        user = self._registered_user(wiki, cause.number % 50 * 5)
        if user is cause.user:
            user = self._registered_user(wiki, 250)
        return self._revision(time, cause.page, user, comment, cause.old_length)

    def _hidden(self, time: datetime, cause: Change) -> Change:
        """The user or the comment of a revision, or both, are hidden, with the text now and then."""
        change = self._act(time, "hide", cause, "not for everybody to read")
        change.hides = _HIDES[int(self._random.random() * len(_HIDES))]
        change.restricted = self._random.random() < 0.2
        change.of_latest = self._latest_of(cause.page)[1] == cause.revision
        return change

    def _moved(self, time: datetime, cause: Change) -> Change:
        change = self._act(time, "move", cause, "a better title")
        change.old_title = cause.page.title
        change.page = cause.page._replace(title=f"{cause.page.title} II")
        if self._random.random() < 0.3:
            self._later(self._deleted, change)
        return change

    def _deleted(self, time: datetime, cause: Change) -> Change:
        change = self._act(time, "delete", cause, "no article")
        if self._random.random() < 0.3:
            self._later(self._restored, change)
        return change

    def _restored(self, time: datetime, cause: Change) -> Change:
        return self._act(time, "restore", cause, "deleted by mistake")

    def _act(self, time: datetime, action: str, cause: Change, comment: str) -> Change:
        """What an administrator does to the page of an earlier change."""
        change = self._change(time, cause.page, "log", self._admins[cause.number % len(self._admins)], comment)
        change.action = action
        change.about = cause.edit
        return change

    def _machine_edit(self, time: datetime, machine: int) -> Change:
        number = int(self._random.random() * _PAGES)
        page = _page(machine + 2, number)
        length = self._latest_of(page)[0] + 1 + number % 3
        return self._revision(time, page, self._machines[machine], "fix: whitespace (1 of 1)", length)

    def _talkative_edit(self, time: datetime) -> Change:
        uniform = self._random.random
        page = _page(2, int(uniform() ** 2 * 400), True)
        length = max(1, self._latest_of(page)[0] + int(self._random.gauss(1_800, 1_500)))
        return self._revision(time, page, self._talkative_bot, _OPINIONS[int(uniform() * len(_OPINIONS))], length)

    def _latest_of(self, page: Page) -> tuple[int, int]:
        """Length and number of the page's latest revision; one from before the story has the number 0."""
        return self._latest.get(page.id) or (200 + page.id % 9_000, 0)

    def _revision(
        self, time: datetime, page: Page, user: User, comment: str, length: int, kind: str = "edit"
    ) -> Change:
        """A new revision, which is the page's latest from now on.

        A new page is not remembered: nobody edits it again in this story, and the memory stays bounded.
        """
        change = self._change(time, page, kind, user, comment)
        self._revisions[page.wiki] += 1
        change.revision = self._revisions[page.wiki]
        change.new_length = length
        if kind == "edit":
            change.old_length, parent = self._latest_of(page)
            change.parent = parent or change.revision - 500_000
            self._latest[page.id] = length, change.revision
        return change

    def _change(self, time: datetime, page: Page, kind: str, user: User, comment: str) -> Change:
        bits = self._random.getrandbits
        return Change(
            self._number, _uuid(bits(128)), _uuid(bits(128)), bits(128),
            time, page, kind, user, comment,
        )  # fmt: skip

    def _comment(self, user: User) -> str:
        comment = _COMMENTS[int(self._random.random() * len(_COMMENTS))]
        return f"bot: task {user.id} of {user.name}" if user.is_bot else comment

    def _person(self, wiki: int) -> User:
        uniform = self._random.random
        person = int(uniform() ** 1.2 * _PEOPLE)  # some edit often, many seldom
        sort = uniform()
        if sort < 0.82:
            return self._registered_user(wiki, person)
        return self._temporary_user(wiki, person) if sort < 0.92 else _anonymous_user(person)

    def _registered_user(self, wiki: int, person: int) -> User:
        """One in five is new; one in ten edits all wikis."""
        number = (wiki if person % 10 else 0) * _PEOPLE + person
        found = self._registered.get(number)
        if found is None:
            name = f"{_NAMES[number % len(_NAMES)]}{number}"
            if person % 5 == 4:
                found = self._account(name, "new", days=person % 28, edits=1 + person % 40)
            else:
                found = self._account(name, "old", days=150 + person * 37 % 6_500, edits=60 + (_PEOPLE - person) * 7)
            self._registered[number] = found
        return found

    def _temporary_user(self, wiki: int, person: int) -> User:
        number = wiki * _PEOPLE + person
        found = self._temporary.get(number)
        if found is None:
            name = f"~2026-{10_000 + number}-{number % 97}"
            found = self._account(name, "temporary", days=person % 20, edits=1 + person % 9)
            self._temporary[number] = found
        return found

    def _account(self, name: str, kind: str, *, days: int, edits: int, rights: tuple[str, ...] = ()) -> User:
        """An account of this age in days when the story begins."""
        groups: tuple[str, ...] = ("*", "temp") if kind == "temporary" else ("*", "user")
        if kind == "bot":
            groups += ("bot",)
        if kind != "temporary" and days >= 4 and edits >= 10:
            groups += ("autoconfirmed",)
        number = 10_000 + zlib.crc32(name.encode()) % 90_000_000
        registered = self._start - timedelta(days=days, hours=1 + edits % 20)
        return User(name, kind, number, edits, registered, groups + rights)


@cache
def _anonymous_user(person: int) -> User:
    block = ("192.0.2.", "198.51.100.", "203.0.113.", "2001:DB8:0:0:0:0:0:")[person % 4]
    return User(f"{block}{person % 250 + 1}", "anonymous")


@lru_cache(maxsize=100_000)
def _page(wiki: int, number: int, talk: bool = False) -> Page:
    name, domain, _, words = WIKIS[wiki]
    title = f"{words[number % len(words)]} {number}" if words else f"Q{70_000_000 + number}"
    namespace = int(talk)
    prefix = "Talk:" if talk else ""
    if name == "commonswiki":
        title, namespace = f"{title}.jpg", namespace + 6
        prefix = "File talk:" if talk else "File:"
    return Page(name, domain, prefix + title, 1 + wiki * 1_000_000 + number * 4 + talk, namespace)


def _category(wiki: int, number: int) -> Page:
    page = _page(wiki, number)
    return Page(page.wiki, page.domain, f"Category:{page.title.removeprefix('File:')}", page.id + 2, 14)


def _uuid(bits: int) -> str:
    """A random UUID (version 4) of 128 bits; several times as fast as the `uuid` module."""
    digits = f"{bits & ~(0xF000 << 64) & ~(0xC000 << 48) | 4 << 76 | 0x8000 << 48:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
