"""What the Wikipedia jobs tell of a wiki by its host and of a user by the name, as SQL."""

from __future__ import annotations

# The language is the first label of a project's host; `www.wikidata.org`, `commons.wikimedia.org`, `test.wikipedia.org`
# and their like are wikis of no one language.
LANGUAGE_HOST = (
    r"^(?!www\.|ten\.|mul\.)[a-z]{2,3}(-[a-z-]+)?(\.m)?"
    r"\.(wikipedia|wiktionary|wikibooks|wikinews|wikiquote|wikisource|wikiversity|wikivoyage)\.org$"
)
COUNTRIES = {
    "en": "US", "ky": "KG", "ja": "JP", "vi": "VN", "ko": "KR",
    "zh": "CN", "sv": "SE", "et": "EE", "cs": "CZ", "da": "DK",
}  # fmt: skip

# Who is not logged in is told by an IP address or, since 2024, by a temporary account such as ~2026-1234.
IP_ADDRESS = r"^(\d{1,3}(\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,7})$"
TEMPORARY_ACCOUNT = r"^~\d{4}-"


def language_of(domain: str) -> str:
    """SQL: the language of the wiki at this host, null where it is of no one language."""
    # Not REGEXP_EXTRACT: Flink compiles its pattern for each row, that of REGEXP once.
    return f"""
        CASE
            WHEN {domain} LIKE 'simple.%' THEN 'en'
            WHEN REGEXP({domain}, '{LANGUAGE_HOST}') THEN SPLIT_INDEX({domain}, '.', 0)
        END
    """


def country_of(domain: str) -> str:
    """SQL: the country (ISO 3166 where the language has a well-known one) that stands for the language on a map."""
    # A map and not a CASE: Flink inlines the language's expression at each place where it is used.
    countries = ", ".join(f"'{language}', '{country}'" for language, country in COUNTRIES.items())
    return f"COALESCE(MAP[{countries}][{language_of(domain)}], UPPER({language_of(domain)}))"


def is_of(languages: str, domain: str) -> str:
    """SQL: the host is no canary's, and its wiki one of `languages` (`en,de`; empty: all)."""
    chosen = ", ".join(f"'{language}'" for language in languages.split(","))
    no_canary = f"COALESCE({domain}, '') <> 'canary'"
    return no_canary + (f" AND COALESCE({language_of(domain)} IN ({chosen}), FALSE)" if languages else "")


def user_kind_of(user: str) -> str:
    """SQL: `registered`, `temporary`, `anonymous` (an IP address), or `hidden` where the name is null."""
    return f"""
        CASE
            WHEN {user} IS NULL THEN 'hidden'
            WHEN REGEXP({user}, '{IP_ADDRESS}') THEN 'anonymous'
            WHEN REGEXP({user}, '{TEMPORARY_ACCOUNT}') THEN 'temporary'
            ELSE 'registered'
        END
    """
