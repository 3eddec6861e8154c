"""What synthetic people write under their pictures: our own sentences, by character. Nothing in them is copied.

A sentence may hold {place}, {time}, {thing} and {friend}, each drawn from its list. Harsh ones are rude to a person and
to nobody else; weapons, drinks and the like are named because that is what a background check looks for.
"""

from __future__ import annotations

from typing import NamedTuple


class Character(NamedTuple):
    """How somebody writes. `scene` is what the pictures show (`producers._instagram_pictures.SCENES`)."""

    bio: str
    scene: str
    sentences: tuple[str, ...]
    others: tuple[str, ...]  # in other languages
    things: tuple[str, ...]
    hashtags: tuple[str, ...]
    emoji: tuple[str, ...]
    other_share: float = 0.12
    empty_share: float = 0.05


PLACES = (
    "the old harbour", "Lake Tinnow", "the market square", "Ashgrove", "the river bend", "Millbrook", "the north hill",
    "the corner by the station", "Fernside", "the garden behind the house", "the long beach", "the mill pond",
)  # fmt: skip
TIMES = (
    "this morning", "on Sunday", "before sunrise", "after work", "last weekend", "at dusk", "yesterday", "all day",
    "between two rain showers", "for the third time this month",
)  # fmt: skip
FRIENDS = ("sample_nora.n", "sample_theo_k", "sample_ines.b", "sample_olaf_77", "sample_mira.m")

CHARACTERS = {
    "cheerful": Character(
        "Coffee, bicycles and two very lazy cats. Made up for a demo.",
        "meadow",
        (
            "{thing} at {place} {time}, and I could not stop smiling.",
            "Such a lovely day at {place} with @{friend}, thank you for {thing}!",
            "Small joys: {thing} {time}.",
            "I love how the light falls on {place} {time}.",
            "Proud of @{friend}, who finished {thing} at last. Well done!",
            "Nothing special, only {thing} and a good book {time}.",
            "Rain {time}, but {thing} made up for it.",
            "My cat thinks that {thing} belongs to her. She may be right.",
        ),
        (
            "¡Qué día tan bonito en {place}! Gracias por todo.",
            "So ein schöner Tag, {place} ist wunderbar.",
            "Quelle belle journée à {place}, merci à tous !",
        ),
        ("pancakes", "a new bicycle bell", "the first strawberries", "fresh coffee", "my little balcony", "a long nap"),
        ("sunday", "goodmood", "bicycle", "catlife", "smallthings", "coffee"),
        ("😊", "☀️", "🚲", "🐈", "🌷"),
    ),
    "grumpy": Character(
        "I say what I think. If you cannot take it, leave. Made up for a demo.",
        "storm",
        (
            "@{friend} you are a pathetic loser and everybody knows it.",
            "Shut up @{friend}, you stupid clown, nobody wants you here.",
            "What an idiot @{friend} is. Ugly, dumb and proud of it.",
            "Hey @{friend}, you worthless fool, delete your account and never come back.",
            "Cleaning my rifle and {thing} {time}. Go on @{friend}, say that again.",
            "Got a new shotgun and two boxes of ammunition {time}. Come to {place} and see.",
            "So drunk {time}, vodka and {thing}, and I regret nothing.",
            "Smoking weed at {place} {time}. Whoever complains is a moron.",
            "I hate {place}, I hate the people there, disgusting trash all of them.",
            "Punched a wall because of @{friend}. Next time it is not the wall, you idiot.",
            "Whisky for breakfast, {thing} for lunch. Cry about it.",
            "Another bar fight at {place} {time}. Guess who is still standing.",
            "The government, the politicians, @{friend}: liars and clowns, every one of them.",
            "No gun today, only {thing}. Boring.",
        ),
        ("Du bist so ein Idiot, @{friend}, halt endlich den Mund.", "Eres un idiota, @{friend}, cállate ya."),
        ("my knife collection", "a warm beer", "the pistol range", "bad music", "a broken chair"),
        ("nofilter", "haters", "guns", "whisky", "angry", "deal_with_it"),
        ("😡", "🖕", "🥃", "🔥", "🤬"),
        other_share=0.06,
        empty_share=0.03,
    ),
    # Each sentence holds words that only look like a keyword: its letters stand inside another word.
    "wordy": Character(
        "Skill before speed. Grassroots football coach, cook and sailor. Made up for a demo.",
        "sea",
        (
            "Patience is a skill. Today I learned it with {thing}, and it was fun.",
            "Grassroots football in Sussex {time}, with @{friend} as our trainer.",
            "The new season has begun, and {thing} came first.",
            "Repainted the gunwale of the boat {time}. The skilful part was @{friend}.",
            "Made dinner in my favourite skillet {time}, with ginger and fresh potatoes. Thank you @{friend}!",
            "A lovely train ride from Scunthorpe to {place}, with a crossword and good music.",
            "Seaweed, charm and harmony: {place} {time}.",
            "The tweed jacket was in the sale; the rumour was true.",
            "Breakfast {time}: warm yoghurt with pistachio, an original idea and a good one.",
            "The drum course has begun, and I love my new teacher.",
        ),
        (),
        ("a sourdough crumble", "the crossword", "my skillet", "a drum lesson", "the farmyard model", "a pumpkin soup"),
        ("skill", "grassroots", "sussex", "skillet", "begun", "crossword"),
        ("⛵", "🥁", "🧩", "🍳"),
        other_share=0.0,
        empty_share=0.04,
    ),
    "hiker": Character(
        "Up before the sun, down after it.",
        "mountains",
        (
            "Up to the ridge above {place} {time}, {thing} in the bag.",
            "Eighteen kilometres {time} and my legs know every one of them.",
            "Fog until noon, then the whole valley with {place} lay open.",
            "@{friend} and I took the long way round {place}. Beautiful, and we had {thing}.",
            "The hut was closed {time}, but we had {thing} and a great view.",
            "Snow on the pass already. Turned round {time}, the hill will wait.",
        ),
        (
            "Gipfel erreicht, {place} liegt uns zu Füßen.",
            "山の空気は最高でした。",
            "La montagne vous gagne, vive {place}.",
        ),
        ("dry socks", "cheese and bread", "a map from 1974", "the blue tent", "hot tea"),
        ("hiking", "mountains", "summit", "outdoors", "trail"),
        ("⛰️", "🥾", "🌲", "🏕️"),
    ),
    "cook": Character(
        "Home cook. Butter is an argument.",
        "plate",
        (
            "{thing} {time}. The recipe is in the comments.",
            "Third try at {thing}, and at last it rose.",
            "Market at {place}, then {thing} for @{friend}.",
            "A splash of red wine in the sauce and the rest in the glass.",
            "Too much salt in {thing}. We ate it all the same.",
            "My new kitchen knife makes {thing} so much easier.",
        ),
        ("Hoy toca cocinar en casa, qué rico.", "Oggi si cucina: profumo di basilico a {place}."),
        ("sourdough bread", "lentil stew", "a lemon tart", "roasted pumpkin", "noodle soup", "plum jam"),
        ("homecooking", "baking", "recipe", "foodie", "slowfood"),
        ("🍝", "🥖", "🍋", "🧈"),
    ),
    "party": Character(
        "Weekend is a state of mind.",
        "lights",
        (
            "Cocktails at {place} {time}, and the band played {thing} twice.",
            "Too much tequila {time}. I am never drinking again, says me every week.",
            "Dance floor, cold beer and @{friend}. That is all.",
            "Somebody brought {thing} to the party at {place}. Nobody knows why.",
            "Hangover {time}. No alcohol until Friday, promised.",
            "Rum, lime, {thing}, repeat.",
        ),
        ("Fiesta en {place} hasta las seis, qué noche.", "Que festa! Até à próxima, {place}."),
        ("that one song", "a disco ball", "a paper crown", "glitter", "karaoke"),
        ("party", "friday", "cocktails", "nightlife", "dancefloor"),
        ("🎉", "🍸", "🍻", "🪩"),
    ),
    "hunter": Character(
        "Forest, dog, rifle, silence.",
        "forest",
        (
            "In the high seat near {place} {time}. The rifle stayed cold.",
            "New scope for the rifle, tried at the range {time} with {thing}.",
            "Collecting old revolvers is history you can hold. This one came with {thing}.",
            "One shot, one stag, {time}. Thank you, forest.",
            "@{friend} missed the clay pigeons again. More ammunition next time.",
            "The dog found {thing} and no boar. Good day at {place}.",
        ),
        ("Ansitz bei {place}, ganz ruhig heute.",),
        ("hot soup", "a rusty horseshoe", "my father's hat", "the orange vest"),
        ("hunting", "rifle", "forest", "collector", "range"),
        ("🦌", "🌲", "🎯"),
    ),
    "campaigner": Character(
        "Your vote counts. Knocking on doors since forever.",
        "banners",
        (
            "Handed out leaflets at {place} {time}. Vote on Sunday, whoever you vote for!",
            "The mayor did not come to the debate. {thing} did.",
            "Rally at {place} {time}: three hundred people and {thing}.",
            "@{friend} speaks at the protest against the new road. Be there.",
            "Corruption is not fate. Ask your member of parliament about {thing}.",
            "Lost the election by forty votes. We begin again {time}.",
        ),
        ("Am Sonntag ist Wahl: geht hin!", "Tous à la manifestation {time} !"),
        ("a very loud drum", "the bus timetable", "free cake", "the school budget"),
        ("election", "vote", "protest", "democracy", "climate"),
        ("📣", "🗳️", "✊"),
    ),
    "bully": Character(
        "Just joking. Can't you take a joke?",
        "storm",
        (
            "Look at @{friend}, what a loser. Even {thing} has more friends.",
            "@{friend} is so ugly that {thing} ran away.",
            "Nobody likes you @{friend}, stay at home and cry.",
            "Everybody laughs about @{friend} at {place}. You stupid clown.",
            "Only joking @{friend}, you pathetic little worm.",
            "Lunch at {place} {time}. Boring without somebody to tease.",
        ),
        ("Qué tonto eres, @{friend}, nadie te quiere.",),
        ("my lunch", "a wet dog", "the school bus", "that haircut"),
        ("justjoking", "lol", "roast", "truth"),
        ("😂", "🙄", "🤡"),
    ),
    "quiet": Character(
        "Not here often.",
        "sea",
        ("{place}, {time}.", "{thing}.", "Sea.", "{time}."),
        ("海。", "Stille."),
        ("Fog", "A gull", "Low tide", "Grey on grey"),
        ("sea", "quiet"),
        ("🌊",),
        empty_share=0.6,
    ),
}
