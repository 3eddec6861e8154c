"""Reading and cleaning the data sets; the sets themselves are read where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import data
from models.data import Examples


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("a", "x"), ("b", "y")], [("a", "x"), ("b", "y")]),
        ([("b", "y"), ("a", "x"), ("b", "y")], [("b", "y"), ("a", "x")]),  # one label: merged, order kept
        ([("a", "x"), ("a", "y")], []),  # a tie: left out
        ([("a", "x"), ("a", "y"), ("a", "y")], [("a", "y")]),  # the label given most often
        ([("a", "x"), ("a", "y"), ("a", "z"), ("a", "x")], [("a", "x")]),
        ([("a &amp; b", "x"), ("a & b", "x"), ("a &amp;amp; b", "x")], [("a & b", "x")]),
        ([(" a ", "x"), ("  ", "x"), ("", "x")], [("a", "x")]),
        ([], []),
    ],
    ids=["distinct", "duplicates", "tie", "majority", "three labels", "entities", "white space", "nothing"],
)
def test_cleaning(pairs: list[tuple[str, str]], expected: list[tuple[str, str]]) -> None:
    cleaned = data.clean(Examples([text for text, _ in pairs], [label for _, label in pairs]))
    assert list(zip(*cleaned, strict=True)) == expected


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_each_form_is_read(tmp_path: Path) -> None:
    write(tmp_path / "cyberbullying/cyberbullying_train.csv", 'tweet_text,cyberbullying_type\n"a, ""b""\nc",age\n')
    write(tmp_path / "semeval2017-a/train.tsv", "2\tgood\tday\n0\tbad\n")
    write(tmp_path / "reddit-rscience/train.csv", ",X,BODY,REMOVED\n1,1,fine,0\n2,2,gone,1\n")
    write(
        tmp_path / "davidson/labeled_data.csv",
        ",count,hate_speech,offensive_language,neither,class,tweet\n0,3,0,0,3,2,hi\n",
    )
    # U+2028 and U+0085 are no ends of line here.
    write(tmp_path / "tweeteval/offensive/val_text.txt", "one\u2028line\u0085long\ntwo\n")
    write(tmp_path / "tweeteval/offensive/val_labels.txt", "1\n0\n")
    assert data.read("cyberbullying", tmp_path) == (['a, "b"\nc'], ["age"])
    assert data.read("semeval2017-a", tmp_path) == (["good\tday", "bad"], ["positive", "negative"])
    assert data.read("removal", tmp_path) == (["fine", "gone"], ["kept", "removed"])
    assert data.read("davidson", tmp_path) == (["hi"], ["neither"])
    assert data.read("offensive-val", tmp_path) == (["one\u2028line\u0085long", "two"], ["toxic", "clean"])


def test_a_missing_set_is_told_in_a_sentence_each(tmp_path: Path) -> None:
    write(tmp_path / "tweeteval/hate/val_text.txt", "text\n")
    with pytest.raises(data.MissingDataError) as told:
        data.require(["davidson", "hate-val", "davidson"], tmp_path)
    davidson, hate, hint = str(told.value).splitlines()
    assert "github.com/t-davidson" in davidson
    assert "MIT" in davidson
    assert str(tmp_path / "davidson/labeled_data.csv") in davidson
    assert "val_labels.txt" in hate
    assert "val_text.txt" not in hate  # that one is there
    assert "CROWDPULSE_DATA" in hint


@pytest.mark.parametrize(
    "content", ["tweet,type\na,age\n", "", "tweet_text,cyberbullying_type\n\xff"], ids=["columns", "empty", "encoding"]
)
def test_a_file_in_another_form_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cyberbullying/cyberbullying_train.csv"
    write(path, "")
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match="expected form"):
        data.read("cyberbullying", tmp_path)


def test_texts_and_labels_of_different_number_are_told(tmp_path: Path) -> None:
    write(tmp_path / "tweeteval/irony/val_text.txt", "one\ntwo\n")
    write(tmp_path / "tweeteval/irony/val_labels.txt", "1\n")
    with pytest.raises(ValueError, match="expected form"):
        data.read("irony-val", tmp_path)


@pytest.mark.parametrize(
    ("name", "rows", "labels"),
    [
        ("cyberbullying", 34925, 6),
        ("semeval2017-a", 47361, 3),
        ("davidson", 24783, 3),
        ("removal", 4977, 2),
        ("offensive-train", 11916, 2),
        ("offensive-val", 1324, 2),
        ("hate-train", 9000, 2),
        ("hate-val", 1000, 2),
        ("irony-train", 2862, 2),
        ("irony-val", 955, 2),
        ("emotion-train", 3257, 4),
        ("emotion-val", 374, 4),
        ("sentiment-val", 2000, 3),
    ],
)
def test_the_sets_themselves(name: str, rows: int, labels: int) -> None:
    try:
        data.require([name])
    except data.MissingDataError as missing:
        pytest.skip(str(missing).split(":")[0] + ".")
    examples = data.read(name)
    assert len(examples.texts) == len(examples.labels) == rows
    assert len(set(examples.labels)) == labels
    cleaned = data.clean(examples)
    assert 0.9 * rows < len(cleaned.texts) == len(set(cleaned.texts)) <= rows
