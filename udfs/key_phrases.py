"""key_phrases(text): what an English text is about, offline, in the shape of Comprehend's DetectKeyPhrases.

A method of our own in the line of RAKE (Rose et al. 2010) and YAKE (Campos et al. 2020): phrases are the runs of words
between punctuation and words that say little by themselves; a logistic model of a few features (length, frequency,
first position, form of the words) gives their score. `python -m udfs.evaluate_key_phrases` judges it, and `--fit`
finds the model's weights.

What a caller can rely on:

- Phrases do not overlap and come in the order of the text; a phrase that occurs twice comes twice, with one score, as
  Comprehend's do. To rank a text's topics, sort by Score and keep one of each.
- BeginOffset and EndOffset count code points, as Comprehend's do and as Python's indices: Text is
  text[BeginOffset:EndOffset]. An emoji of four UTF-8 bytes counts 1.
- Unlike Comprehend's, phrases have no determiners ("a", "the"), and scores are lower: about the probability that
  someone who indexes the text would choose the phrase.
- A hashtag's word is a phrase like any other, without "#". URLs, e-mail addresses and @names are no phrases.
- Line breaks end a phrase. Other languages than English give long, poor phrases: nothing is known of their stop words.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from operator import mul
from typing import Final, Literal, NamedTuple, TypedDict

import pandas as pd
from pyflink.table import DataTypes
from pyflink.table.udf import udf

MAX_CHARACTERS: Final = 100_000  # what follows is not read; Comprehend itself refuses texts over 100 KB
MAX_WORDS: Final = 5  # a longer run is a list or another language rather than a phrase
MAX_WORD_CHARACTERS: Final = 40  # a longer "word" is an identifier, encoded data or a script without spaces


class KeyPhrase(TypedDict):
    """One occurrence of a phrase, as in a response of DetectKeyPhrases."""

    Text: str
    BeginOffset: int
    EndOffset: int
    Score: float


# Words that end a phrase wherever they stand.
FUNCTION_WORDS = """
a about above across actually after afterwards again against ago ah ahead aint all almost along already alright also
although always am among amongst amp an and another any anybody anyone anything anyway anywhere apart are arent around
as aside at aw away back because before behind below beneath beside besides between beyond both btw but by c'mon can
cannot cant congrats could couldnt damn despite did didnt do does doesnt doing done dont down due during each eg eight
either else elsewhere enough et etc even ever every everybody everyone everything everywhere except few first five for
forth four fourth from further furthermore gonna gotta gt had hadnt haha hahaha has hasnt have havent having he hello
hence her here hers herself hey hi him himself his how however http https i ibid idk ie if im in indeed instead into is
isnt it its itself ive just kinda last later least less lest let lets like likewise lmao lol lt many may maybe me
meanwhile might mine more moreover most much must my myself nah namely near neither never nevertheless next nine no
nobody none nope nor not nothing notwithstanding now nowhere of off often oh ok okay omg on once one ones only onto or
other others otherwise our ours ourselves out over own per perhaps please pls plz pm ppl quite quot rather regarding
respectively rt same second seven several shall she should shouldnt since six smh so some somebody somehow someone
something sometimes somewhat somewhere soon still such tbh ten than thank thanks that thats the their theirs them
themselves then there thereby therefore therefrom these they theyre third this tho those though three through throughout
thus thx till to today together tomorrow tonight too toward towards twice two u ugh um under unless unlike until up upon
ur us versus very via vs wanna was wasnt we welcome were werent what whatever whats when whenever where whereas whereby
wherein wherever whether which whichever while who whoever whole whom whose why will with within without wont would
wouldnt wow xx xxx y'all ya yall yay yea yeah yep yes yesterday yet you your youre yours yourself yourselves zero
"""
# Verbs: each stands for its regular forms too. Left out are those that are as often part of a name (design, state).
VERBS = """
accept accomplish achieve acquire adapt add admit adopt affect agree aim allow analyse analyze announce annoy apologize
appear apply approach argue arise ask assess assign assist assume attempt attend avoid be beat become begin believe bet
blame boast bother bring buy calculate call care carry catch cause celebrate change characterize choose claim click
close come compare complete compose comprise compute concern conclude conduct confirm confuse congratulate consider
consist constitute construct contact contain continue contribute correspond cover create cry deal decide define deliver
demonstrate denote depend derive describe deserve detail detect determine develop devise die differ disagree discover
discuss dislike doubt draw drink drop eat elaborate eliminate emerge employ enable encourage enhance enjoy ensure
establish estimate evaluate examine exceed exhibit exist expect explain exploit explore express extend extract
facilitate fall feel find focus follow forget form formulate fuck generate get give go grab guarantee guess hang happen
hate hear help hit hold hope hug hurt identify ignore illustrate imagine implement imply improve include incorporate
increase indicate influence inform integrate introduce investigate involve join keep kill kiss know lack laugh lead
leave lie like listen live look lose love maintain make manage mean meet mention minimize miss modify motivate move need
note obtain occur offer open outline outperform overcome pay perform permit pick play possess predict prefer prepare
present prevent proceed produce promise propose prove provide pull push put quit raise reach realize receive recommend
reduce refer reflect relate rely remain remember remind remove replace represent require resolve result retain reveal
ruin run satisfy say see seek seem select sell send serve shall show simplify sing sit skip sleep smile solve speak
specify spend stand start stay steal stop subscribe suck suffer suggest summarize swear take talk teach tell tend think
throw treat try turn understand use utilize validate vary verify wait want watch wear win wish wonder work worry yield
"""
IRREGULAR_VERBS = """
admitted applied applies arisen arose ate became been began beginning begun being betting bought brought came carried
caught chose chosen cried cries dealt dies drank drawn drew dropped dropping drunk dying eaten fallen fell felt
forgetting forgot forgotten found gave getting given goes gone got gotten grabbed heard held hitting hugging hung kept
knew known led left lied lies lost lying made meant met paid quitting ran relied running said sang sat saw seen sent
shown sitting skipped slept sold sought spent spoke spoken stole stolen stood sung taken taught thought threw thrown
told took tried tries undergone understood went won worried worries written wrote
"""
NOUNS_LIKE_VERBS = "computing hearing running"
# Words that a phrase neither begins nor ends with; mostly adjectives that praise or compare.
WEAK_WORDS = """
able acceptable accurate actual additional adequate advanced advantageous alternative amazing applicable appropriate
associated available awesome bad based basic beautiful beneficial best better big bigger biggest bloody brief busy
capable careful certain clear common comparable complete complicated comprehensive considerable consistent contemporary
convenient conventional cool correct corresponding crazy crucial current cute dead desirable desired detailed different
difficult disparate diverse earlier early easier easy effective efficient entire equal essential excellent existing
expensive experimental extensive extra fair far fast faster favorite favourable favourite feasible fewer final fine
fucking full fundamental funny future general glad good grateful great greater greatest growing happy hard high higher
highest huge important independent inherent intended interesting key large larger largest late lately latest likely
limited little long longer low lower lowest lucky mad main major measured mere minor modern necessary new newer nice
novel observed obvious old older original overall particular past perfect positive possible potential practical
preliminary pretty previous primary prior proper prospective proud quick rapid ready really reasonable recent related
relevant remarkable representative right sad safe satisfactory serious severe short sick significant similar simple
simpler single slight small smaller smallest so-called sophisticated sorry special specific straightforward strong
stupid subsequent substantial successful successive sufficient suitable super superior sure tested theoretical total
traditional true typical unable underlying unique unknown useful usual valuable various vast viable vital weird well
well-known wide wider widespread worse worst worth wrong young
"""
# Nouns that are no topic alone and rarely end one.
GENERIC_NOUNS = """
ability account addition advantage advent amount area article aspect assumption attention author basis benefit bit bunch
calculation capability case challenge class combination comparison conclusion consequence consideration construction
context contrast contribution course criteria criterion day decade degree detail determination difference difficulty
direction disadvantage discussion effect effectiveness effort end example existence experience extension extent fact
feature finding goal guy hand hour idea impact implication importance improvement insight instance interaction interest
introduction issue kind level list literature lot majority manner means methodology minute month morning nature night
notion number objective opportunity order paper paradigm part participant people person perspective phenomenon place
point possibility practice prediction presence problem process progress prototype purpose question range reason
recommendation regard relation respect result role scope section sense set setting shift situation sort source step
structure study stuff substance success task term thing time topic trend type usage use value variation variety version
view way week work world year
"""
# Nouns whose ending looks like that of an adverb, a participle or an adjective.
OTHER_NOUNS = """
accent accident ahmed ally animal anniversary anomaly archive arrival assembly assistant athletic atlantic beijing belly
billy boundary breed building bully business cable capital carnival cathedral ceiling ceramic cereal client clinic
clothing coefficient comic component constant consultant content continent criminal critic crystal detective diary
dictionary documentary drive elephant emily evening fabric families family february feed festival funeral giant glossary
gradient grant holly hospital hundred incident infant ingredient initiative integral interval italy january jelly
journal july kelly library lily logic magic manual material mechanic medal merchant metal metric military mineral
mohammed molly monopoly motive mural music narrative olive olympic pacific panic parent patient pedal picnic plant
plastic polly portal president princess professional proposal public pudding rally reply representative republic
resident restaurant ritual rival salary sally scandal secretary seed signal speed spring statistic string student
summary supply survival table talent tenant terminal timetable topic traffic trial tutorial united variable variant
vegetable vocabulary wedding weed wireless
"""

# The kinds of words.
BREAK, WEAK, GENERIC, NUMBER, LETTER, PARTICIPLE, GERUND, ADJECTIVE, NOUN = range(9)
NOT_FIRST: Final = frozenset({WEAK, NUMBER, LETTER})
NOT_LAST: Final = frozenset({WEAK, LETTER, PARTICIPLE})


def _forms(verb: str) -> tuple[str, str, str, str]:
    """The regular forms of a verb: offer -> offer, offers, offered, offering."""
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb, verb[:-1] + "ies", verb[:-1] + "ied", verb + "ing"
    if verb.endswith(("s", "x", "ch", "sh")):
        return verb, verb + "es", verb + "ed", verb + "ing"
    if verb.endswith("e"):
        return verb, verb + "s", verb + "d", (verb if verb.endswith("ee") else verb[:-1]) + "ing"
    return verb, verb + "s", verb + "ed", verb + "ing"


def _plural(noun: str) -> str:
    return _forms(noun)[1]


KINDS: Final[dict[str, int]] = (
    dict.fromkeys(OTHER_NOUNS.split(), NOUN)
    | {form: GENERIC for noun in GENERIC_NOUNS.split() for form in (noun, _plural(noun))}
    | dict.fromkeys(WEAK_WORDS.split(), WEAK)
    | {form: BREAK for verb in VERBS.split() for form in _forms(verb)}
    | dict.fromkeys((FUNCTION_WORDS + IRREGULAR_VERBS).split(), BREAK)
    | dict.fromkeys(NOUNS_LIKE_VERBS.split(), GERUND)
)

# Marks belong to the letter before them (café written with U+0301, vowel signs of Indic scripts): \w lacks them.
_MARKS: Final = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0dff\u0e31-\u0e4e\u0f71-\u0fbc\u200c"
# Repetitions are bounded, so that no text takes more than linear time.
TOKEN: Final = re.compile(
    r"(?:https?://|www\.|\w{1,63}\.\w{2,24}/)\S*"  # a URL
    r"|[\w.+-]{0,64}@[\w.@-]+"  # an e-mail address or an @name
    r"|&\#?\w{1,10};"  # an HTML entity
    r"|[\d\#*]\ufe0f?\u20e3"  # a keycap emoji
    rf"|([^\W_][\w{_MARKS}]*(?:(?:['’._-]|&(?!\w{{1,10}};))[^\W_][\w{_MARKS}]*)*(?:\+\+|\#(?!\w))?)",  # a word
    re.IGNORECASE,
)
SENTENCE_END: Final = frozenset('.!?:\n"“')
CONTRACTION: Final = ("n't", "'m", "'re", "'ve", "'ll", "'d")
ADJECTIVE_ENDINGS: Final = ("al", "ive", "ous", "ic", "able", "ible", "ary", "ful", "less", "ent", "ant")
STRETCHED: Final = re.compile(r"(.)\1{2,}")


class Word(NamedTuple):
    """A word of a text: where it stands (code points), its kind, if it looks like a name, its form in lower case."""

    begin: int
    end: int
    kind: int
    capital: bool  # one after its first letter, or a first one that does not begin a sentence
    lower: str


class Phrase(NamedTuple):
    """An occurrence of a phrase: text[begin:end]; its name is the same for singular and plural."""

    name: str
    begin: int
    end: int
    words: list[Word]


class Features(NamedTuple):
    """What the score of a phrase is made from; the fields of WEIGHTS are what each counts (log odds)."""

    words_1: float  # the number of words, one-hot
    words_2: float
    words_3: float
    words_4: float
    words_5: float
    frequency: float  # log of how often it occurs, singular or plural
    position: float  # log(1 + characters before its first occurrence / 100)
    word_length: float  # mean length of its words, in tens of characters (with a space)
    capital: float  # a word looks like a name or an acronym
    generic_last: float  # of several words, the last is a generic noun
    gerund_first: float  # of several words, the first ends in -ing
    adjective_last: float  # the last word looks like an adjective
    number: float  # it has a number or a single letter


# Found by `python -m udfs.evaluate_key_phrases --fit` on the even half of Inspec, but for `capital`: abstracts have few
# names, posts are about them. 0.8 leaves F1 on Inspec as it is and puts names before other words of posts.
WEIGHTS: Final = Features(
    words_1=-2.78,
    words_2=-0.96,
    words_3=-0.73,
    words_4=-1.23,
    words_5=-1.86,
    frequency=0.69,
    position=-0.42,
    word_length=1.18,
    capital=0.8,
    generic_last=-0.73,
    gerund_first=-0.63,
    adjective_last=-1.2,
    number=-2.05,
)


def key_phrases(text: object) -> list[KeyPhrase]:
    """The key phrases of a text: every occurrence, in order, with offsets in code points and a score in (0, 1).

    Never raises: what is no string, or has no words, gives an empty list. Only the first MAX_CHARACTERS are read.
    """
    if not isinstance(text, str):
        return []
    phrases = phrases_of(text)
    scores = {name: _score(features) for name, features in features_of(phrases).items()}
    return [
        {"Text": text[begin:end], "BeginOffset": begin, "EndOffset": end, "Score": scores[name]}
        for name, begin, end, _words in phrases
    ]


def phrases_of(text: str) -> list[Phrase]:
    """The candidates: runs of words that say something, without weak words at their ends."""
    phrases = []
    for run in _runs(text[:MAX_CHARACTERS]):
        first, last = 0, len(run)
        while first < last and run[first].kind in NOT_FIRST:
            first += 1
        while first < last and run[last - 1].kind in NOT_LAST:
            last -= 1
        words = run[first:last]
        if len(words) <= MAX_WORDS and any(word.kind not in (GENERIC, NUMBER) for word in words):
            name = " ".join([_singular(word.lower) for word in words])
            phrases.append(Phrase(name, words[0].begin, words[-1].end, words))
    return phrases


def features_of(phrases: list[Phrase]) -> dict[str, Features]:
    """The features of each distinct phrase, by name."""
    occurrences = Counter([phrase.name for phrase in phrases])
    features: dict[str, Features] = {}
    for name, begin, _end, words in phrases:
        if name in features:
            continue
        count, first, last = len(words), words[0].kind, words[-1].kind
        several = count > 1
        features[name] = Features(
            count == 1,
            count == 2,
            count == 3,
            count == 4,
            count == 5,
            math.log(occurrences[name]),
            math.log1p(begin / 100),
            (len(name) + 1) / count / 10,
            any(word.capital for word in words),
            several and last == GENERIC,
            several and first == GERUND,
            last == ADJECTIVE,
            any(word.kind in (NUMBER, LETTER) for word in words),
        )
    return features


def _score(features: Features) -> float:
    """The logistic function of the weighted sum."""
    return 1 / (1 + math.exp(-sum(map(mul, WEIGHTS, features))))


def _runs(text: str) -> Iterator[list[Word]]:
    """Words with nothing but spaces between them and no word that ends a phrase."""
    run: list[Word] = []
    end = 0
    for token in TOKEN.finditer(text):
        begin = token.start()
        between = text[end:begin]
        if run and between != " " and (not between.isspace() or "\n" in between):
            yield run
            run = []
        end = token.end()
        written = token[1]
        kind = BREAK if written is None or end - begin > MAX_WORD_CHARACTERS else _kind(lower := written.lower())
        if kind != BREAK:
            inside = begin > 0 and SENTENCE_END.isdisjoint(between)
            capital = written != lower and (inside or written[1:] != lower[1:])
            run.append(Word(begin, end, kind, capital, lower))
        elif run:
            yield run
            run = []
    if run:
        yield run


@lru_cache(maxsize=1 << 15)
def _kind(word: str) -> int:
    """The kind of a word in lower case: from the lists, else from its form."""
    word = word.replace("’", "'")
    if "'" in word:
        if word.endswith(CONTRACTION):
            return BREAK
        word = word.removesuffix("'s")
    known = KINDS.get(word)
    if known is None and STRETCHED.search(word):  # "sooo", "goood"
        known = KINDS.get(STRETCHED.sub(r"\1", word), KINDS.get(STRETCHED.sub(r"\1\1", word)))
    if known is not None:
        return known
    if word.endswith("ly") and len(word) > 4:
        return BREAK
    if word[0].isdigit():
        return NUMBER
    if len(word) == 1:
        return LETTER
    if word.endswith("ed") and len(word) > 4:
        return PARTICIPLE
    if word.endswith("ing") and len(word) > 5:
        return GERUND
    return ADJECTIVE if word.endswith(ADJECTIVE_ENDINGS) and len(word) > 5 and not word.endswith("ment") else NOUN


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


# ARRAY<ROW<…>> would be the natural type, but PyFlink 2.3 has no Arrow type for an array of rows ("ROW is not supported
# to be used as the element type of ArrayType") and its worker dies of it; a row of arrays of one length is the nearest.
# A null text has null arrays. PyFlink's collect() cannot read a null array inside a row: there, select the fields.
COLUMNS: Final[dict[str, Literal["Text", "BeginOffset", "EndOffset", "Score"]]] = {
    "text": "Text",
    "begin_offset": "BeginOffset",
    "end_offset": "EndOffset",
    "score": "Score",
}


def key_phrase_columns(texts: pd.Series[str]) -> pd.DataFrame:
    """The key phrases of a batch of texts: a row a text, an array a column of COLUMNS; null arrays for a null text."""
    found = [None if text is None else key_phrases(text) for text in texts]
    return pd.DataFrame(
        {
            column: [None if phrases is None else [phrase[field] for phrase in phrases] for phrases in found]
            for column, field in COLUMNS.items()
        }
    )


key_phrases_udf = udf(
    key_phrase_columns,
    result_type=DataTypes.ROW(
        [
            DataTypes.FIELD("text", DataTypes.ARRAY(DataTypes.STRING())),
            DataTypes.FIELD("begin_offset", DataTypes.ARRAY(DataTypes.INT())),
            DataTypes.FIELD("end_offset", DataTypes.ARRAY(DataTypes.INT())),
            DataTypes.FIELD("score", DataTypes.ARRAY(DataTypes.DOUBLE())),
        ]
    ),
    func_type="pandas",
)
