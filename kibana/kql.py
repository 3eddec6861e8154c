"""Kibana's query language, KQL, as Elasticsearch's own queries: the part of it that our dashboards use.

    sentiment: positive          level: "very high"          topic: (news or sports)          text: *
    likes >= 1000                a: 1 and not (b: 2 or c: 3)

Wildcards inside of values and nested fields are refused: Kibana would take them, the live view could not. So are fields
that the index does not have.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from kibana.dashboards import DashboardError

Query = dict[str, Any]

_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(>=|<=|[():<>])|([^\s():<>"]+))')
_RANGES = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt"}
_WORDS = ("and", "or", "not")


class KqlError(DashboardError):
    """The text is no KQL, or more of it than is known here; the message says which part."""


def query(text: str, known: Collection[str]) -> Query:
    """The query for Elasticsearch, of an index with the fields `known`; all documents for an empty text.

    Raises KqlError.
    """
    tokens = _tokens(text)
    if not tokens:
        return {"match_all": {}}
    parser = _Parser(text, tokens, known)
    found = parser.either()
    if parser.peek() is not None:
        raise parser.error("unexpected")
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    """(kind, text) with the kinds phrase, sign and word."""
    found, place, text = [], 0, text.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise KqlError(f"`{text}` is no KQL: a quotation mark is not closed.")
        phrase, sign, word = match.groups()
        if phrase is not None:
            found.append(("phrase", re.sub(r"\\(.)", r"\1", phrase)))
        else:
            found.append(("sign", sign) if sign else ("word", word))
        place = match.end()
    return found


class _Parser:
    """Recursive descent: or, and, not, (…), field: value."""

    def __init__(self, text: str, tokens: list[tuple[str, str]], known: Collection[str]) -> None:
        self.text, self.tokens, self.known, self.place = text, tokens, known, 0

    def peek(self) -> tuple[str, str] | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def error(self, problem: str) -> KqlError:
        token = self.peek()
        return KqlError(f"`{self.text}` is no KQL that is known here: {problem} {token[1] if token else 'end'!r}.")

    def takes(self, kind: str, text: str) -> bool:
        """Whether the next token is this one, which is then taken; words in any case."""
        token = self.peek()
        taken = token is not None and token[0] == kind and token[1].lower() == text
        self.place += taken
        return taken

    def either(self) -> Query:
        parts = [self.both()]
        while self.takes("word", "or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else {"bool": {"should": parts, "minimum_should_match": 1}}

    def both(self) -> Query:
        parts = [self.negated()]
        while self.takes("word", "and"):
            parts.append(self.negated())
        return parts[0] if len(parts) == 1 else {"bool": {"filter": parts}}

    def negated(self) -> Query:
        if self.takes("word", "not"):
            return {"bool": {"must_not": [self.negated()]}}
        if self.takes("sign", "("):
            inner = self.either()
            if not self.takes("sign", ")"):
                raise self.error("a `)` is missing before")
            return inner
        return self.comparison()

    def comparison(self) -> Query:
        field = self.literal("a field")
        if field not in self.known:
            raise KqlError(f"`{self.text}`: the index has no field `{field}`.")
        for sign, name in _RANGES.items():
            if self.takes("sign", sign):
                return {"range": {field: {name: self.literal("a value")}}}
        if not self.takes("sign", ":"):
            raise self.error("after a field comes `:` or a comparison, not")
        if not self.takes("sign", "("):
            return self.is_value(field)
        parts = [self.is_value(field)]
        while self.takes("word", "or"):
            parts.append(self.is_value(field))
        if not self.takes("sign", ")"):
            raise self.error("a `)` is missing before")
        return {"bool": {"should": parts, "minimum_should_match": 1}}

    def is_value(self, field: str) -> Query:
        token = self.peek()
        value = self.literal("a value")
        if token == ("word", "*"):
            return {"exists": {"field": field}}
        if token is not None and token[0] == "word" and "*" in value:
            raise KqlError(f"`{self.text}`: wildcards inside of a value are not known here.")
        return {"match_phrase" if token is not None and token[0] == "phrase" else "match": {field: value}}

    def literal(self, what: str) -> str:
        token = self.peek()
        if token is None or token[0] == "sign" or (token[0] == "word" and token[1].lower() in _WORDS):
            raise self.error(f"{what} is missing before")
        self.place += 1
        return token[1]
