"""Writes what a release has, as CycloneDX 1.6, and the checksums of its files.

    python native/release/sbom.py dist

    dist/gemel-VERSION.cdx.json    each file of dist with its SHA-256; the parts of licences.py; what built it
    dist/SHA256SUMS                of all files, as sha256sum -c reads it

Equal files give equal bytes: there is no time and no random number in it.
"""

import base64
import hashlib
import json
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import licences

SUMS = "SHA256SUMS"


def sbom(files: list[Path]) -> dict[str, Any]:
    """Return the document."""
    version = tomllib.loads((licences.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    gemel = f"pkg:pypi/gemel@{version}"
    made = [_file(path) for path in files]
    found = [_component(part) for part in licences.parts()]
    root = {"type": "application", "bom-ref": gemel, "name": "gemel", "version": version, "purl": gemel,
            "licenses": [{"license": {"id": "MIT"}}]}  # fmt: skip
    tools = [{"type": "application", "name": name, "version": number} for name, number in sorted(
        licences.locked("tools.txt").items())]  # fmt: skip
    needed = {"ref": gemel, "dependsOn": [one["bom-ref"] for one in found]}
    content = {
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"component": root, "tools": {"components": tools}},
        "components": [*made, *found], "dependencies": [needed],
    }   # fmt: skip
    name = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{name}", **content}


def _file(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"type": "file", "bom-ref": f"file:{path.name}", "name": path.name,
            "hashes": [{"alg": "SHA-256", "content": digest}]}  # fmt: skip


def _component(part: licences.Part) -> dict[str, Any]:
    is_exact = part.version[:1].isdigit()
    name = part.name.replace("@", "%40")
    about: dict[str, Any] = {
        "type": "library", "bom-ref": f"{part.place}:{part.name}", "name": part.name,
        "scope": "optional" if part.place == licences.SERVE else "required",
    }   # fmt: skip
    if is_exact:
        about["version"] = part.version
    if part.origin:
        about["purl"] = f"pkg:{part.origin}/{name}" + (f"@{part.version}" if is_exact else "")
    if part.sha512:
        about["hashes"] = [{"alg": "SHA-512", "content": base64.b64decode(part.sha512).hex()}]
    is_id = " " not in part.licence
    about["licenses"] = [{"license": {"id": part.licence}} if is_id else {"expression": part.licence.strip("()")}]
    told = {"place": licences.PLACES[part.place], "requirement": "" if is_exact else part.version, "note": part.note}
    about["properties"] = [{"name": f"gemel:{key}", "value": value} for key, value in told.items() if value]
    return about


def main() -> None:
    """Write both files."""
    folder = Path(sys.argv[1])
    files = sorted(
        path for path in folder.iterdir() if path.is_file() and path.name != SUMS and ".cdx." not in path.name
    )
    if not files:
        sys.exit(f"{folder} has no files: run make wheels")
    document = sbom(files)
    out = folder / f"gemel-{document['metadata']['component']['version']}.cdx.json"
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in [*files, out]]
    (folder / SUMS).write_text("".join(sums), encoding="utf-8")
    print(out)


if __name__ == "__main__":
    main()
