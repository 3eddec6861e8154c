"""What went wrong, as a sentence that says what to do."""

from __future__ import annotations


class StackError(Exception):
    """A problem of the local stack. Its text is shown to a person as it is."""
