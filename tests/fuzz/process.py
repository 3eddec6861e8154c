"""One target in a process of its own, under atheris: `python -m tests.fuzz.process TARGET FOLDER [ITS OPTIONS]`.

The seeds are written to FOLDER, where the fuzzer also keeps what led somewhere new. Our modules are instrumented as
they are imported, so a target's file may import them as every other file does.
"""

from __future__ import annotations

import importlib
import logging
import sys
from hashlib import sha256
from pathlib import Path

import atheris

from tests.fuzz.mutate import json_mutator

OURS = ["connectors", "jobs", "models", "producers", "services", "settings", "sseclient", "udfs"]


def main() -> None:
    program, name, folder, *options = sys.argv
    logging.disable(logging.CRITICAL)  # what is refused on purpose is logged
    with atheris.instrument_imports(include=OURS):
        target = importlib.import_module(f"tests.fuzz.targets.{name}")
    corpus = Path(folder)
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / sha256(seed).hexdigest()[:40]).write_bytes(seed)
    mutator = json_mutator(lambda data, most: atheris.Mutate(data, most)) if target.IS_JSON else None
    atheris.Setup([program, folder, f"-max_len={target.MOST_BYTES}", *options], target.test, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
