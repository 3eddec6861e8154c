"""Instagram's usernames: which text is one. What is not is refused before anything is asked, gathered or sent."""

from __future__ import annotations

import re
from pathlib import Path

from producers._command_line import InputError

# ASCII only, before lower case is made of it: lower case of the Kelvin sign would be an honest `k`.
_USERNAME = re.compile(r"@?((?!\.)(?!.*\.\.)[A-Za-z0-9_.]{1,30}(?<!\.))")
SHOWN = 40


def username(text: str) -> str:
    """The username in lower case; `text` may have any case and an `@` before it. Raises InputError for anything else.

    1 to 30 of a to z, digits, `_` and `.`; no `.` at either end, and no two in a row.
    """
    if found := _USERNAME.fullmatch(text):
        return found[1].lower()
    # `ascii`, so that control characters do nothing to the terminal and a look-alike of a letter is seen to be one.
    shown = ascii(text[:SHOWN]) + (f"... ({len(text)} characters)" if len(text) > SHOWN else "")
    raise InputError(
        f"{shown} is no Instagram username: it has 1 to 30 of the letters a to z, digits, _ and ., but no . at either"
        " end and no two in a row."
    )


def usernames_of(file: Path) -> list[str]:
    """The usernames of a text file, one a line; empty lines and those that begin with # are passed over.

    Raises InputError for a file that cannot be read, and for a line that is no username.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"The usernames in {file} cannot be read: {reason}.") from None
    found = []
    for number, line in enumerate(lines, start=1):
        if (name := line.strip(" \t\r")) and not name.startswith("#"):
            try:
                found.append(username(name))
            except InputError as error:
                raise InputError(f"{file}, line {number}: {error}") from None
    return found
