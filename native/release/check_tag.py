"""Fails unless a tag is v and the version of pyproject.toml, which the changelog has as released.

    python3 native/release/check_tag.py v0.1.0
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def wrong(tag: str, version: str, changelog: str) -> str:
    """Return what is wrong with a tag; "" if nothing is."""
    if tag != f"v{version}":
        return f"the tag is {tag}, but pyproject.toml has version {version}: tag v{version}"
    heading = re.search(rf"^## {re.escape(version)}\b.*$", changelog, re.M)
    if heading is None:
        return f"CHANGELOG.md has no heading for {version}"
    if "unreleased" in heading[0]:
        return f"CHANGELOG.md has {heading[0]!r}: write the date in place of unreleased"
    return ""


def main() -> None:
    """Exit with what is wrong."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    sys.exit(wrong(sys.argv[1], version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")) or None)


if __name__ == "__main__":
    main()
