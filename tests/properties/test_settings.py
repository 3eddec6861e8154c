"""Settings from the environment: whatever a variable holds, settings or one sentence that names it."""

from __future__ import annotations

import contextlib
import io
import os
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from settings import Settings, settings
from tests.properties.strategies import ANY_TEXT

FIELDS = sorted(Settings.model_fields)
# What an environment can hold: no NUL, no half of a character.
HELD = ANY_TEXT.map(lambda text: text.replace("\0", "").encode("utf-8", "ignore").decode())
NUMBERS = st.one_of(
    st.integers().map(str), st.floats().map(str), st.sampled_from(["²", "٣٣", "1_0", "0x10", "1e5", "+7"])
)


@pytest.mark.parametrize("field", FIELDS)
@examples(max_examples=5)
@given(value=HELD | NUMBERS | st.sampled_from(["true", "1m", "9999g", "SASL_SSL", "https://a;b", "a.", "{}", "a:b:c"]))
def test_a_setting_is_taken_or_refused_by_its_name(field: str, value: str) -> None:
    said = io.StringIO()
    with patch.dict(os.environ, {f"CROWDPULSE_{field.upper()}": value}), contextlib.redirect_stderr(said):
        settings.cache_clear()
        try:
            found = settings()
        except SystemExit as ended:
            assert ended.code == 2
            assert f"CROWDPULSE_{field.upper()}" in said.getvalue()
        else:
            assert said.getvalue() == ""
            assert found == Settings.model_validate(found.model_dump())
        finally:
            settings.cache_clear()
