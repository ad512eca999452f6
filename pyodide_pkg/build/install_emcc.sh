#!/usr/bin/env bash
# Install Emscripten, and the Python that Pyodide runs, into a folder: install_emcc.sh FOLDER [NODE].
# Then PATH="FOLDER/bin:$PATH". NODE is a node program, 18 or newer, for emcc; PATH's, if none is named.
# For Debian as root, amd64: the packages of a newer Debian are unpacked into the folder beside the libraries they want,
# and told to look there; the system stays as it is. The mirror is the one that the machine's own apt uses.
set -euo pipefail

SUITE=forky
PACKAGES=emscripten,python3.14-venv

folder=$(realpath -m "${1:?usage: install_emcc.sh FOLDER [NODE]}")
node=${2:-$(command -v node || true)}

fail() {
    echo "install_emcc.sh: $1" >&2
    exit 1
}

mirror() {
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F '|' '$1 == "Debian" && $2 == "Debian" && $3 == "main" { print $4; exit }'
}

unpack() {
    mkdir -p "$(dirname "$folder")"
    # The suite's Release file may be older than it says it may be used.
    mmdebstrap --quiet --mode=root --variant=extract --architectures=amd64 --include="$PACKAGES" \
        --aptopt='Acquire::Check-Valid-Until "false"' "$SUITE" "$folder" "$1" ||
        fail "$SUITE's packages could not be had from $1"
}

# Make the programs use the folder's loader and libraries; so must libraries that name a place of their own.
relink() {
    local libraries="$folder/usr/lib/x86_64-linux-gnu" file
    local path="$libraries:$llvm/lib"
    for file in "$llvm"/bin/{clang,lld,llvm-ar,llvm-nm,llvm-objcopy,llvm-readobj} "$folder"/usr/bin/{python3.14,wasm-*}; do
        [ -L "$file" ] && continue
        patchelf --set-interpreter "$libraries/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$path" "$file"
    done
    for file in "$libraries"/lib{LLVM,clang-cpp,binaryen}*.so*; do
        [ -L "$file" ] || patchelf --force-rpath --set-rpath "$path" "$file"
    done
}

# emcc's settings; the programs that go on PATH, and no other of the newer Debian's.
finish() {
    local emscripten="$folder/usr/share/emscripten" name
    ln -sfn ../nodejs "$emscripten/node_modules"
    cat >"$emscripten/.emscripten" <<EOF
LLVM_ROOT = '$llvm/bin'
BINARYEN_ROOT = '$folder/usr'
NODE_JS = '$node'
CACHE = '$folder/cache'
EOF
    sed -i "s|'WHEEL_PKG_DIR': '|&$folder|" "$folder"/usr/lib/python3.14/_sysconfigdata*.py
    mkdir -p "$folder/bin"
    for name in em++ emar emranlib emnm emcmake emmake emconfigure em-config; do
        ln -s "$emscripten/$name" "$folder/bin/$name"
    done
    "$emscripten/emcc" --version | head -n 1
    ln -s "$emscripten/emcc" "$folder/bin/emcc"
}

for tool in mmdebstrap patchelf apt-get; do
    command -v "$tool" >/dev/null || fail "$tool is not installed"
done
[ ! -e "$folder" ] || fail "$folder exists: name a folder that is not there yet"
[ -x "$node" ] || fail "there is no node on PATH, and none was named"
[ "$(id -u)" = 0 ] || fail "mmdebstrap unpacks as root only"
source_mirror=$(mirror)
[ -n "$source_mirror" ] || fail "apt on this machine knows no mirror of Debian"
trap '[ -x "$folder/bin/emcc" ] || rm -rf "$folder"' EXIT
unpack "$source_mirror"
llvm=$(echo "$folder"/usr/lib/llvm-*)
relink
finish
