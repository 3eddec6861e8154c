#!/usr/bin/env bash
# Says which of the programs that Crowdpulse needs are missing, all at once; exits 1 if any is.
# Usage: tools.sh [PYTHON]
set -u
python=${1:-python3}
missing=()

if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
  missing+=("Python 3.11 or 3.12 (found: $("$python" --version 2>&1 | head -n 1)); name another one with PYTHON=…")
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  missing+=("the venv module of $python (Debian: apt-get install python3-venv)")
fi

javac=${JAVA_HOME:+$JAVA_HOME/bin/}javac
if ! command -v "$javac" >/dev/null; then
  missing+=("a JDK of version 17 or later (Debian: apt-get install openjdk-17-jdk-headless), on the PATH or in JAVA_HOME")
else
  version=$("$javac" -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
  if [ "${version:-0}" -lt 17 ]; then
    missing+=("a JDK of version 17 or later (found: $("$javac" -version 2>&1 | head -n 1))")
  fi
fi

command -v mvn >/dev/null || missing+=("Maven (Debian: apt-get install maven)")

command -v npm >/dev/null || missing+=("npm, for the charts of the live view (Debian: apt-get install npm)")

if [ "${#missing[@]}" -gt 0 ]; then
  echo "Missing on this machine:" >&2
  printf '  - %s\n' "${missing[@]}" >&2
  exit 1
fi
