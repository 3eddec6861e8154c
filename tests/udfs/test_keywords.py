"""keywords: the words of a list in a text, what only looks like them, negation, wrong lists, the Flink function."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given as given_any
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pyflink.table import DataTypes, Table, TableEnvironment

from stack import package
from udfs.keywords import Keywords, Match, find, keyword_columns, keywords, read

DEFAULT = read()


def found(text: str, language: str | None = "en", words: Keywords = DEFAULT) -> list[str]:
    """The keywords of a text; "-" before one that is negated."""
    return ["-" * match.negated + match.keyword for match in find(text, words, language)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # any form of a word, any case
        ("A gun, two GUNS", ["gun"]),
        ("the gun's safety, whiskies after", ["gun", "whisky"]),
        ("he drugged and murdered them", ["drug", "murder"]),
        ("Smoking weed while he smokes pot", ["smoke weed", "smoke pot"]),
        # phrases: their words follow each other, hyphens or not, or are written together
        ("machine guns, a hand-grenade", ["machine gun", "hand grenade"]),
        ("an AK-47, an AR15", ["ak 47", "ar 15"]),
        ("self-harm, self harm and #selfharm", ["self harm"]),
        ("machine, gun", ["gun"]),
        ("machine. Gun", ["gun"]),
        # each theme by itself: "gun control" is politics, its gun a weapon
        ("gun control", ["gun control", "gun"]),
        # hashtags
        ("#GunControl #gun_control #GunControl2024", ["gun control", "gun"]),
        ("#NRAGuns #drunk2019", ["gun", "drunk"]),
        ("#gunsense #SkillShare #overgunned", []),
        # in the order of the text, each once
        ("Vodka, then a rifle, then vodka", ["vodka", "rifle"]),
        # as they are written in posts
        ("beer🍺beer", ["beer"]),
        ("g\u200bu\u00adn", ["gun"]),
        ("ｇｕｎ 𝗯𝗲𝗲𝗿", ["gun", "beer"]),
        ("gun/knife_collection", ["gun"]),
        ("ask @gun_shop or gun@shop.example, https://gun.example/gun www.beer.example beer.example/gun", []),
        ("with:@gun_shop", []),
        ("beer @ home", ["beer"]),
        ("I don’t want to live", ["don't want to live"]),
        # no word of the list
        ("", []),
        ("🔫", []),
        ("\0\ud800\u0301", []),
    ],
)
def test_words_of_a_text(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        # letters inside another word
        "My skill with a skillet: grassroots cooking has begun in Sussex, not in Scunthorpe",
        "gunwale gunnel burgundy laguna shogun Gunnar",
        "ginger, imagine, engine; rumour, drum, crumble; pistachio; swine, winner, twine; beard",
        "drugstore druggist weeding seaweed tweed; alcove; a peacock tail",
        "bombastic bombard Bombay; grenadine; bulletin; pistil; rifleman's knot; rapid rapper grape drape therapist",
        "stable, establish, stability, constable; assorted; murdoch; tortoise; violet violin viola",
        "method methane Methuselah; opiniated; thesis thc2 overdosis",
        "heroine, heroines and heroic",
        # other words with the same stem
        "polite police policy, polity",
        "social nation community, nations, a protestant",
        "it revolves and is revolving",
        # words that mostly mean something else
        "shot on film, photo shoot, shooting star, high up, at the bar, a pot of tea, crack on, one joint, coke zero",
        "knitting, cracker, crackdown, speedometer, arms, army, party, general, killer whale, killing it, speed, acid",
        # phrases in which they do
        "water guns, a glue gun, top gun, jumped the gun, guns n' roses, bath bombs, bullet journals",
        "root beer, ginger beer, shrimp cocktails, cocktail dresses, rubbing alcohol, apple cider vinegar",
        "a murder mystery, taking a stab at it, suicide squad, the drug store, political science",
    ],
)
def test_what_only_looks_like_a_keyword(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("de", "Meine Pistolen und Waffen, dazu Rotwein", ["Pistole", "Waffe", "Rotwein"]),
        ("de", "HEISSKLEBEPISTOLE und Waffeln im Lager, das war nix, hängen hier rum, mit Stab", []),
        ("de", "Weissweine, LSD, a gun", ["Weißwein", "lsd", "gun"]),  # the English list too
        ("de", "Weinen wegen einer Heroine ist gewaltig", []),
        ("es", "¡Drogas, pistolas y cerveza!", ["drogas", "pistola", "cerveza"]),
        ("es", "Ayer vino Ana a la droguería con una margarita", []),
        ("fr", "L'alcool, des armes d'Ivoire et l'ARME", ["alcool", "arme"]),
        ("fr", "un violon violet, l'armoire, une grenade et du céleri rape", []),
        ("it", "Un'arma, dell'alcol e le birre", ["arma", "alcol", "birra"]),
        ("pt-BR", "A eleição? Cervejas e munições", ["cerveja", "munições"]),
        ("pt", "na drogaria, um bombom", []),
        ("nl", "een beer in het bos", []),
        # a language without a list, none, an unknown one: the English list alone
        ("ja", "guns 銃 Pistolen", ["gun"]),
        ("und", "guns, Pistolen", ["gun"]),
        (None, "guns, Pistolen", ["gun"]),
        ("", "guns, Pistolen", ["gun"]),
    ],
)
def test_languages(language: str | None, text: str, expected: list[str]) -> None:
    assert found(text, language) == expected


@pytest.mark.parametrize(
    ("language", "entry", "text"),
    [
        ("fr", "café", "cafe\u0301s"),  # a mark of its own
        ("en", "cafe\u0301", "cafés"),
        ("hi", "हथियार", "हथियारों"),
        ("ru", "оружие", "ОРУЖИЯ"),
        ("el", "όπλο", "ΌΠΛΑ"),
        ("tr", "silah", "silahlar"),
        ("ar", "سلاح", "سلاحا"),
    ],
)
def test_scripts_and_marks(tmp_path: Path, language: str, entry: str, text: str) -> None:
    words = write(tmp_path, f"theme:\n  {language}:\n    words: [{entry}]\n")
    assert found(text, language, read(words)) == [entry]
    assert found(f"x{text}", language, read(words)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No guns", ["-gun"]),
        ("I do not own any guns", ["-gun"]),
        ("not one of the guns", ["gun"]),  # four words before
        ("I don't drink beer, I DON’T DRINK WINE", ["-beer", "-wine"]),
        ("dont need drugs", ["-drug"]),
        ("never again vodka", ["-vodka"]),
        ("a night without alcohol", ["-alcohol"]),
        ("against violence", ["-violence"]),
        ("say no to drugs", ["-drug"]),
        ("free of drugs; free from alcohol", ["-drug", "-alcohol"]),
        ("a drug-free, alcohol free party", ["-drug", "-alcohol"]),
        ("free drugs", ["drug"]),
        ("anti-gun, non-alcoholic, #AntiViolence", ["-gun", "-alcohol", "-violence"]),
        ("anti social gun", ["gun"]),
        ("neither beer nor wine", ["-beer", "-wine"]),
        ("no beer, wine", ["-beer", "-wine"]),
        # not across the end of a sentence, nor "but"
        ("No. Guns", ["gun"]),
        ("No! Guns", ["gun"]),
        ("No?\nGuns", ["gun"]),
        ("no\nguns", ["gun"]),
        ("No… guns", ["gun"]),
        ("no money but guns", ["gun"]),
        # no negation
        ("not only guns", ["gun"]),
        ("not just a gun", ["gun"]),
        ("no doubt vodka", ["vodka"]),
        ("can't wait for beer", ["beer"]),
        ("never without a gun", ["gun"]),
        ("nothing like beer, knot a gun, another gun", ["beer", "gun"]),
        # negated only if it is every time
        ("no gun, really no gun", ["-gun"]),
        ("no gun today. A gun tomorrow", ["gun"]),
        ("A gun today. No gun tomorrow", ["gun"]),
        # a phrase with a negation of its own
        ("no reason to live", ["no reason to live"]),
    ],
)
def test_negation(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("de", "kein Bier, ohne Waffen", ["-Bier", "-Waffe"]),
        ("de", "kein Wasser, sondern Bier; nicht nur Schnaps; nicht ohne Waffe", ["Bier", "Schnaps", "Waffe"]),
        ("es", "sin drogas, pero cerveza; no solo tequila", ["-drogas", "cerveza", "tequila"]),
        ("fr", "Je n'ai pas d'arme, mais du rhum", ["-arme", "rhum"]),
        ("it", "senza armi, ma birra", ["-armi", "birra"]),
        ("pt", "não quero cerveja, mas vinho", ["-cerveja", "vinho"]),
        ("en", "sin beer", ["beer"]),  # a word of another language
    ],
)
def test_negation_in_other_languages(language: str, text: str, expected: list[str]) -> None:
    assert found(text, language) == expected


def write(folder: Path, text: str) -> Path:
    path = folder / "words.yaml"
    path.write_text(text, encoding="utf-8")
    return path


OWN = """
tools:
  en:
    words: [saw, power saw, hammer]
    exact: [plane, saws]
    unless: [I saw, saw mill, hammer time]
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sawing with power saws", ["saw", "power saw"]),  # the longest
        ("plane planes", ["plane"]),
        ("saws", ["saws"]),  # `exact:` before a stem
        ("I saw a saw mill at hammer times", []),
        ("I hammer", ["hammer"]),
        ("powersaw sawmill hammertime", ["power saw"]),
    ],
)
def test_a_list_of_ones_own(tmp_path: Path, text: str, expected: list[str]) -> None:
    words = read(write(tmp_path, OWN))
    assert words.themes == ("tools",)
    assert found(text, words=words) == expected
    assert {match.theme for match in find(text, words, "en")} <= {"tools"}


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", ["it has no themes"]),
        ("[gun]", ["it has no themes"]),
        ("a: [", ["no YAML"]),
        ("a: !!bool x", ["a value that is not of its type"]),
        ("a: !!int x", ["a value that is not of its type"]),
        pytest.param("[" * 10_000, ["too many brackets"], id="deep"),
        ("a:\n  en: {words: [x]}\na:\n  en: {words: [y]}", ["no YAML", "'a' is there twice"]),
        ("1: {en: {words: [gun]}}", ["the theme 1 is no text"]),
        ("weapons:", ["theme weapons has no languages"]),
        ("weapons: [gun]", ["theme weapons has no languages"]),
        ("weapons: {english: {words: [gun]}}", ["theme weapons: 'english' is none of the languages"]),
        ("weapons: {no: {words: [gun]}}", ['write "no" in quotes']),
        ("weapons: {en: [gun]}", ["theme weapons, en, has no entries"]),
        ("weapons: {en: {}}", ["theme weapons, en, has no entries"]),
        ("weapons: {en: {word: [gun]}}", ["theme weapons, en, word: there is no such part; use words, exact, unless"]),
        ("weapons: {en: {words: gun}}", ["theme weapons, en, words: a list is wanted, as in [gun]"]),
        ("weapons: {en: {words: [187]}}", ["weapons, en, words: the entry 187 is no text; put it in quotes"]),
        ("weapons: {en: {words: [null]}}", ["the entry None is no text"]),
        ("weapons: {en: {words: ['!?']}}", ["the entry '!?' must be words alone"]),
        ("weapons: {en: {words: ['']}}", ["the entry '' must be words alone"]),
        ("weapons: {en: {words: ['gun, rifle']}}", ["the entry 'gun, rifle' must be words alone"]),
        ("weapons: {en: {words: [a b c d e f g h i]}}", ["has more than 8 words"]),
        ("weapons: {en: {words: [gun, GUN]}}", ["the entry 'GUN' is there already, under words"]),
        ("weapons: {en: {words: [gun], unless: [gun]}}", ["weapons, en, unless: the entry 'gun' is there already"]),
        # all of them at once
        ("a: {en: {words: [1]}}\nb: {en: {exact: [2]}}", ["theme a, en, words", "theme b, en, exact"]),
    ],
)
def test_a_wrong_list_is_said_with_file_theme_and_entry(tmp_path: Path, text: str, sentences: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}") as error:
        read(path)
    for sentence in sentences:
        assert sentence in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.yaml cannot be read: No such file"):
        read(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes("a: {de: {words: [Likör]}}".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.yaml is no UTF-8 from byte 20 on"):
        read(tmp_path / "latin.yaml")


def test_the_list_of_the_project() -> None:
    assert DEFAULT.themes == ("weapons", "drugs", "alcohol", "violence", "self-harm", "politics")
    for language, patterns in DEFAULT.patterns.items():
        for some in patterns.values():
            for pattern in some:
                if pattern.keyword is not None:  # none is hidden by another
                    assert Match(pattern.theme, pattern.keyword, False) in find(pattern.keyword, DEFAULT, language)


def test_workers_read_it_from_what_flink_ships(tmp_path: Path) -> None:
    code = package.make(target=tmp_path / "code.zip")
    program = "import udfs.keywords as k; print(k.__file__, k.find('No guns', k.read()))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env={"PYTHONPATH": str(code)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.split(maxsplit=1) == [
        str(code / "udfs" / "keywords.py"),
        "[Match(theme='weapons', keyword='gun', negated=True)]\n",
    ], done.stderr


LETTERS = st.text("abcdefghijklmnopqrstuvwxyzäßéñ", min_size=1, max_size=6)


@pytest.fixture(scope="module")
def four_words(tmp_path_factory: pytest.TempPathFactory) -> Keywords:
    return read(write(tmp_path_factory.mktemp("list"), "theme: {en: {words: [gun, beer, cocaine, murder]}}"))


@hypothesis_settings(max_examples=500, deadline=None)
@given_any(before=LETTERS, word=st.sampled_from(["gun", "beer", "cocaine", "murder"]), after=LETTERS | st.just(""))
def test_letters_before_a_keyword_make_another_word(four_words: Keywords, before: str, word: str, after: str) -> None:
    """Letters after it may be an ending, which the tables above tell; those before it never are."""
    assert find(before + word + after, four_words, "en") == []
    assert word in [match.keyword for match in find(f"{before} {word} {after}", four_words, "en")]


PIECES = st.sampled_from(
    [
        "gun",
        "Guns",
        "no",
        "not",
        "only",
        "but",
        ",",
        ".",
        "\n",
        "#",
        "_",
        "@",
        "-",
        "'s",
        "n't",
        "machine",
        "free",
        "é",
        "\u200b",
        "\u0301",
        "🔫",
        "of",
        "anti",
        "water",
        " ",
    ]
)


@hypothesis_settings(max_examples=500, deadline=None)
@given_any(st.text() | st.lists(PIECES).map(" ".join) | st.lists(PIECES).map("".join), st.sampled_from(["en", "de"]))
def test_any_text_gives_whole_words_each_once(text: str, language: str) -> None:
    matches = find(text, DEFAULT, language)
    assert len({(theme, keyword) for theme, keyword, _ in matches}) == len(matches)
    assert {theme for theme, _, _ in matches} <= set(DEFAULT.themes)
    if "gun" in [keyword for _, keyword, _ in matches]:
        plain = unicodedata.normalize("NFC", text.replace("\u200b", ""))
        words = re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain))  # capitals: #gunGuns
        assert {"gun", "guns"} & {word.lower() for word in words}


@pytest.mark.parametrize(
    "text",
    [
        "gun " * 250_000,
        "no , " * 200_000,
        "#" * 1_000_000,
        "#Gu" * 300_000,
        "a@" * 500_000,
        "\u0301\u0316" * 500_000,
        "machine " * 125_000,
        "\ufdfa" * 1_000_000,
        "'" * 1_000_000,
        "gun , " * 160_000,
    ],
    ids=lambda text: repr(text[:6]),
)
def test_a_megabyte_takes_no_long_time(text: str) -> None:
    begin = time.process_time()
    find(text, DEFAULT, "de")
    assert time.process_time() - begin < 2  # below 0.1 s where it was written


def test_a_batch_gives_arrays_of_one_length_and_null_for_null() -> None:
    texts, languages = pd.Series(["no guns but beer", "", None, "Bier"]), pd.Series(["en", "en", "en", None])
    columns = keyword_columns(texts, languages, DEFAULT)
    assert list(columns.columns) == ["themes", "words", "negated"]
    assert columns.values.tolist() == [
        [["weapons", "alcohol"], ["gun", "beer"], [True, False]],
        [[], [], []],
        [None, None, None],
        [[], [], []],
    ]


def test_the_list_travels_with_the_job() -> None:
    assert found("no guns", words=pickle.loads(pickle.dumps(DEFAULT))) == ["-gun"]  # noqa: S301


CAPTIONS = DataTypes.ROW(
    [
        DataTypes.FIELD("id", DataTypes.INT()),
        DataTypes.FIELD("caption", DataTypes.STRING()),
        DataTypes.FIELD("written_in", DataTypes.STRING()),
    ]
)


@pytest.fixture
def captions(t_env: TableEnvironment) -> Iterator[Table]:
    """The view captions_for_keywords; no VALUES: the planner makes constants of those, which PyFlink refuses."""
    rows = [(1, "No guns, but #hammers", "en"), (2, "Pistolen", "de"), (3, "my skill", None), (4, None, None)]
    table = t_env.from_elements(rows, CAPTIONS)
    t_env.create_temporary_view("captions_for_keywords", table)
    yield table
    t_env.drop_temporary_view("captions_for_keywords")


@pytest.mark.usefixtures("captions")
@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (
            False,
            [(["weapons"], ["gun"], [True]), (["weapons"], ["Pistole"], [False]), ([], [], []), (None, None, None)],
        ),
        (True, [(["tools"], ["hammer"], [False]), ([], [], []), ([], [], []), (None, None, None)]),
    ],
)
def test_flink_gives_arrays_and_runs_the_function_once(
    t_env: TableEnvironment,
    rows: Callable[[Table], list[dict[str, Any]]],
    tmp_path: Path,
    own: bool,
    expected: list[tuple[object, object, object]],
) -> None:
    function = keywords(read(write(tmp_path, OWN)) if own else read())
    t_env.create_temporary_system_function("present_keywords", function)
    try:
        table = t_env.sql_query(
            "SELECT id, k.themes, k.words, k.negated"
            " FROM (SELECT id, present_keywords(caption, written_in) AS k FROM captions_for_keywords)"
        )
        assert [(row["themes"], row["words"], row["negated"]) for row in rows(table)] == expected
        plan = table.explain().split("== Optimized Execution Plan ==")[1]
        assert plan.count("PythonCalc") == plan.count("present_keywords(") == 1
    finally:
        t_env.drop_temporary_system_function("present_keywords")
