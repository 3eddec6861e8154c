"""Texts made comparable: a batch of strings becomes one buffer of normalised UTF-8 bytes.

What people do to a word so that a filter misses it is undone here, for training and for scoring alike: case, full-width
and mathematical letters, accents, look-alike letters of other scripts, invisible characters, digits for letters,
stretched and spaced-out letters. An address becomes a sign.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Between texts. No byte of UTF-8 has this value.
END = 0xFF
ADDRESS = b"\x01"

MAX_CHARACTERS = 50_000
MAX_UNREADABLE_SHARE = 0.2
_UNREADABLE = {"Cc", "Cs"}  # control characters and halves of characters; the unassigned may be next year's emoji

Bytes = NDArray[np.uint8]

_LOOK_ALIKES = str.maketrans(
    {
        **dict(zip("аеорсухіјѕһԁԛԝвнкмтгӏ", "aeopcyxijshdqwbhkmtrl", strict=True)),  # Cyrillic
        **dict(zip("αβεικνορτυχγηω", "abeikvoptuxynw", strict=True)),  # Greek
        **dict(zip("ɑɡɩɪʟɴʀʏᴀʙᴄᴅᴇɢʜᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢıøđłħŧ", "agiilnryabcdeghjkmoptuvwziodlht", strict=True)),
        **{"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"},
        **{"‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-", "‐": "-", "\u2044": "/"},
        # Invisible characters, direction marks, variation selectors, and marks that combine with a letter.
        **{chr(code): None for code in (0x00AD, 0x034F, 0x061C, 0x180E, 0xFEFF)},
        **{
            chr(code): None
            for first, last in (
                (0x0300, 0x036F), (0x0483, 0x0489), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x200B, 0x200F),
                (0x202A, 0x202E), (0x2060, 0x206F), (0x20D0, 0x20FF), (0xFE00, 0xFE0F), (0xFE20, 0xFE2F),
            )
            for code in range(first, last + 1)
        },
    }
)  # fmt: skip

# One byte to one byte: lower case, and every kind of white space or control character a space.
_LOWER = bytes(32 if code < 33 or code == 127 else code + 32 if 65 <= code <= 90 else code for code in range(256))
_ADDRESSES = re.compile(rb"(?:https?://|www\.)[^ \xff]+")

_IS_LETTER = np.zeros(256, bool)
_IS_LETTER[97:123] = True
_LETTER_OF = np.zeros(256, np.uint8)
_LETTER_OF[list(b"012345789$@|")] = list(b"oizeastbgsal")
_LETTER_OF[ord("!")] = ord("i")
_ALWAYS_INSIDE = np.zeros(256, bool)  # "great!" and "@ann" have no letter there
_ALWAYS_INSIDE[list(b"!|@")] = True
_IS_GAP = np.zeros(256, bool)
_IS_GAP[list(b" .-_*")] = True
_IS_EDGE = np.zeros(256, bool)  # all but letters, digits and bytes of other scripts
_IS_EDGE[:128] = [not chr(code).isalnum() for code in range(128)]
_IS_EDGE[END] = True


def unscored_reason(text: object) -> str | None:
    """Why a value cannot be scored, None when it can: `no_text`, `empty`, `too_long` or `not_text` (binary data)."""
    if not isinstance(text, str):
        return "no_text"
    if len(text) > MAX_CHARACTERS:
        return "too_long"
    if not text or text.isspace():
        return "empty"
    if not text.isprintable() or "\ufffd" in text:
        unreadable = sum(unicodedata.category(sign) in _UNREADABLE for sign in text if not sign.isspace())
        if unreadable + text.count("\ufffd") > MAX_UNREADABLE_SHARE * len(text):
            return "not_text"
    return None


def normalise(texts: Sequence[str]) -> Bytes:
    """The normalised bytes of all texts: END, text, END, text, … END."""
    folded = [text if text.isascii() else _fold(text) for text in map(_unescaped, texts)]
    joined: bytes = b"\xff".join([b"", *[text.encode("utf-8", "replace") for text in folded], b""]).translate(_LOWER)
    if b"http" in joined or b"www." in joined:
        joined = _ADDRESSES.sub(ADDRESS, joined)
    signs: Bytes = np.frombuffer(joined, np.uint8)
    return _join_spaced(_letters_for_digits(_shorten(signs)))


def _unescaped(text: str) -> str:
    """Data sets and APIs of social media escape as HTML does: `&amp;`, `&lt;3`."""
    return html.unescape(text) if "&" in text and ";" in text else text


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKD", text.translate(_LOOK_ALIKES)).lower().translate(_LOOK_ALIKES)


def _shorten(signs: Bytes) -> Bytes:
    """Three or more of the same byte in a row are one: `sooo`, `!!!!`. ASCII only, in which a byte is a character."""
    same = (signs[1:] == signs[:-1]) & (signs[1:] < 0x80)
    third = same[1:] & same[:-1]
    if not third.any():
        return signs
    again = np.zeros(len(signs), bool)
    again[2:] = third
    again[1:-1] |= third
    shortened: Bytes = signs[~again]
    return shortened


def _letters_for_digits(signs: Bytes) -> Bytes:
    """Digits and signs that stand for letters, beside a letter, are letters: `f00l`, `h473`, `$illy`, `id!ot`."""
    is_sign = _LETTER_OF[signs] != 0
    edges = np.flatnonzero(is_sign[1:] != is_sign[:-1]) + 1
    if not len(edges):
        return signs
    starts, stops = edges[::2], edges[1::2]
    before, after = _IS_LETTER[signs[starts - 1]], _IS_LETTER[signs[stops]]
    inside = _ALWAYS_INSIDE[signs[starts]] | _ALWAYS_INSIDE[signs[stops - 1]]
    meant = np.where(inside, before & after, before | after)
    at = np.flatnonzero(is_sign)[np.repeat(meant, stops - starts)]
    changed = signs.copy()
    changed[at] = _LETTER_OF[signs[at]]
    return changed


def _join_spaced(signs: Bytes) -> Bytes:
    """Three or more single letters with gaps between them are a word: `f o o l`, `f.o.o.l`."""
    gaps = np.flatnonzero(_IS_GAP[signs])
    gaps = gaps[_IS_LETTER[signs[gaps - 1]] & _IS_LETTER[signs[gaps + 1]]]
    gaps = gaps[_IS_EDGE[signs[gaps - 2]] & _IS_EDGE[signs[gaps + 2]]]
    if len(gaps) < 2:
        return signs
    pairs = np.flatnonzero(gaps[1:] - gaps[:-1] == 2)  # two gaps with a letter between
    return np.delete(signs, gaps[np.union1d(pairs, pairs + 1)]) if len(pairs) else signs
