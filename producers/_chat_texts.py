"""What the made-up chat says: our own wording, by room and mood. Rude ones are mild, and rude to a person only."""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class Talk(NamedTuple):
    """What a room talks of: every subject fits every remark."""

    subjects: tuple[str, ...]
    remarks: tuple[str, ...]


ROOMS = {
    "lobby": Talk(
        ("the weather here", "my new bike", "this coffee", "the market on Saturday", "our neighbour's garden",
         "the night bus", "the bakery at the corner", "my sister's wedding", "the long weekend", "this old radio"),
        ("made my day", "is better than last year", "took longer than I thought", "is worth a look",
         "reminds me of home", "costs a bit more now", "was on the local news", "starts at nine tomorrow"),
    ),
    "games": Talk(
        ("the last boss", "this map", "our second team", "the new patch", "that speedrun", "the co-op level",
         "my save from Tuesday", "the ranked season", "this puzzle room", "the lighthouse quest"),
        ("is harder than it looks", "took me three tries", "gives a lot of points", "runs smoothly for me",
         "needs four players", "has a hidden door", "is my favourite so far", "opens again on Friday"),
    ),
    "music": Talk(
        ("the new single", "this bass line", "the choir on Sunday", "their third album", "that drum solo",
         "the open stage", "my old guitar", "this playlist", "the encore", "her voice on track four"),
        ("is still in my head", "sounds great on headphones", "was recorded in one take", "gets better every time",
         "is in a strange key", "made the whole hall sing", "needs a slower tempo", "comes out in spring"),
    ),
    "kids": Talk(
        ("my kite", "our class hamster", "the dinosaur book", "the school garden", "my paper boat", "the tree house",
         "our snow rabbit", "the puppet show", "my drawing of a whale", "the space quiz"),
        ("is so cool", "has a new name", "won a prize today", "is ready at last", "needs more colours",
         "made everybody laugh", "is on the wall now", "was my idea"),
    ),
}  # fmt: skip
OPENINGS = (
    "", "", "", "oh, ", "by the way, ", "I think ", "honestly, ", "wow, ", "for me ", "good morning, ", "hey all, ",
    "you know, ", "yes, and ",
)  # fmt: skip
ENDINGS = ("", "", "", "!", " :)", " 😀", "...", ", don't you think?", ", right?", " 🎉", ", see for yourself")
SHORT = (
    "hello everyone", "good morning", "same here", "haha, nice one", "thanks a lot", "see you later", "that helps",
    "no idea", "sounds good", "agreed", "brb, tea", "welcome back", "who is in tonight?", "well played", "sleep well",
)  # fmt: skip
GRUMPY = (
    "I waited an hour for nothing, what a bad start", "{} was a disappointment, sorry", "not again, {} drives me mad",
    "too loud in here today", "I had hoped for more from {}", "the sound is broken again and nobody fixes it",
)  # fmt: skip
FOREIGN = (
    "guten Abend zusammen, wie war euer Tag?", "das gefällt mir wirklich sehr gut", "ich komme heute etwas später",
    "hola a todos, ¿qué tal el fin de semana?", "me gusta mucho esta sala", "hasta mañana, que descansen",
    "bonsoir tout le monde, ça va ?", "je reviens dans dix minutes",
)  # fmt: skip
RUDE = (
    "you are a {adjective} {noun}, nobody wants you here", "shut up, you {adjective} {noun}",
    "what a {adjective} {noun} you are", "get lost, you {noun}, you are {adjective}",
    "only a {adjective} {noun} would say that", "{name} is a {adjective} {noun}", "go away, {name}, you {noun}",
)  # fmt: skip
RUDE_ADJECTIVES = ("worthless", "pathetic", "stupid", "useless", "dumb", "disgusting", "brainless")
RUDE_NOUNS = ("idiot", "moron", "loser", "fool", "clown", "pig")
SPAM = (
    "FREE COINS for everybody, visit coins.example now and use code {}", "I make 500 a day from home, ask me how, {}",
    "best followers in town, cheap and fast, followers.example/{}", "you won a phone!!! claim it at prize.example/{}",
)  # fmt: skip
FLOOD = (
    "hello",
    "hello??",
    "anybody",
    "why is nobody here",
    "answer me",
    "come on",
    "hey",
    "heyyy",
    "ok",
    "look",
    "!!!",
)


def friendly(room: str, random: Random) -> str:
    """A remark on what a room talks of, or a short word."""
    if random.random() < 0.2:
        return random.choice(SHORT)
    talk = ROOMS.get(room, ROOMS["lobby"])
    said = f"{random.choice(talk.subjects)} {random.choice(talk.remarks)}"
    return random.choice(OPENINGS) + said + random.choice(ENDINGS)


def grumpy(room: str, random: Random) -> str:
    """Bad mood that is rude to nobody."""
    return random.choice(GRUMPY).format(random.choice(ROOMS.get(room, ROOMS["lobby"]).subjects))


def rude(name: str, random: Random) -> str:
    """An insult of somebody."""
    return random.choice(RUDE).format(
        name=name, adjective=random.choice(RUDE_ADJECTIVES), noun=random.choice(RUDE_NOUNS)
    )
