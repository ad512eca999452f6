"""Write the hashes of its style and script into costs.html's policy: python docs/deploy/make_costs.py."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

PAGE = Path(__file__).with_name("costs.html")


def hashed(text: str) -> str:
    """Return the page with the policy of its contents."""
    def source(tag: str) -> str:
        inner = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        found = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in inner)
        return " ".join(f"'sha256-{one}'" for one in found)

    policy = f"default-src 'none'; style-src {source('style')}; script-src {source('script')}; base-uri 'none'"
    return re.sub(r'(http-equiv="Content-Security-Policy" content=")[^"]*', lambda found: found[1] + policy, text)


if __name__ == "__main__":
    PAGE.write_text(hashed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
