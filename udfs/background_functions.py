"""The functions of a background check, made from the settings of where a job or a SQL statement is submitted.

Their objects travel with the job: workers see neither this module nor the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from pyflink.table import Expression

from settings import Settings, settings
from udfs import aws, background
from udfs.keywords import keywords as keywords_of
from udfs.keywords import read as read_keywords
from udfs.providers import Enrichment


def functions(chosen: Settings) -> Mapping[str, Callable[..., Expression]]:
    """The functions by the name that they have in SQL. Raises ValueError for a wrong file of config/."""
    enrichment = Enrichment.of(chosen)
    return {
        "enriched_caption": aws.captions(enrichment),
        "enriched_image": aws.image_labels(enrichment),
        "forgotten": aws.forgotten(enrichment),
        "keywords": keywords_of(read_keywords(chosen.keywords_file)),
        "summary_score": background.summary_score(background.read_weights(chosen.score_file)),
        "value_counts": background.value_counts,
        "list_counts": background.list_counts,
        "add_counts": background.add_counts,
        "count_keywords": background.count_keywords,
        "add_keywords": background.add_keywords,
        "label_rows": background.label_rows,
        "count_labels": background.count_labels,
    }


@cache
def _of_settings() -> Mapping[str, Callable[..., Expression]]:
    return functions(settings())


def __getattr__(name: str) -> Callable[..., Expression]:
    """One of them, for `CREATE TEMPORARY FUNCTION … AS 'udfs.background_functions.NAME' LANGUAGE PYTHON`."""
    try:
        return _of_settings()[name]
    except KeyError:
        raise AttributeError(name) from None
