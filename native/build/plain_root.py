"""Installs gemel from a local index on a Debian with only Python, and times it until the first answer.

    python native/build/plain_root.py [--machine x86_64|aarch64] [--dist dist] [--page] [--keep]

As root on a Debian with mmdebstrap, and qemu-user for aarch64. Needs the wheels of `make wheels`, and SmolLM2 in
gemel's cache, which is copied. The new Debian is in build/root; it has no compiler, and no network but the loopback.
--page: with the extra `serve`, and `gemel demo` serves its page. Fails if the answer is not the one that this machine
gives.
"""

import argparse
import contextlib
import fcntl
import functools
import hashlib
import http.server
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUITE = "bookworm"
PYTHON = "3.11"   # the suite's
PACKAGES = "python3,python3-venv,python3-pip-whl"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}   # as Debian calls them
MODEL = "smollm2-135m-instruct"
MODELS = Path.home() / ".cache" / "gemel" / "models"
RUN = ["run", MODEL, "Why is the sky blue?", "-n", "40", "--temperature", "0"]
PAGE = ("", "gemel.js", "assets.json", "pyodide/pyodide.asm.wasm")
COMPILERS = ("cc", "gcc", "clang", "c99", "tcc")


def make_root(root: Path, machine: str) -> None:
    """Unpack a Debian. One for another machine is not configured, since nothing runs there by itself."""
    variant = ["--variant=minbase"] if machine == os.uname().machine else ["--variant=extract"]
    architecture = f"--architectures={ARCHITECTURES[machine]}"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--mode=root", *variant, architecture, f"--include={PACKAGES}", SUITE, str(root)],
        check=True,
    )
    found = [name for name in COMPILERS if (root / "usr" / "bin" / name).exists()]
    if found:
        raise SystemExit(f"{root} has a compiler: {', '.join(found)}")


def make_index(index: Path, dist: Path, machine: str, wanted: str) -> None:
    """Write an index of the wheels of a requirement, as PEP 503 says: simple/NAME/index.html."""
    wheels = index / "wheels"
    foreign = ["--only-binary", ":all:", "--python-version", PYTHON, "--platform", f"manylinux2014_{machine}"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels), "--find-links", str(dist)]
    subprocess.run([*pip, *foreign, wanted], check=True)
    for wheel in sorted(wheels.iterdir()):
        page = index / "simple" / wheel.name.partition("-")[0].lower().replace("_", "-") / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        page.write_text(f'<!doctype html><a href="/wheels/{wheel.name}#sha256={digest}">{wheel.name}</a>\n')


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(index: Path) -> Iterator[str]:
    """Serve a folder on this machine's loopback; yield the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(index))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple/"
        server.shutdown()


def loopback_up() -> None:
    """Switch the loopback of this network namespace on: SIOCSIFFLAGS, IFF_UP and IFF_RUNNING."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, 0x8914, struct.pack("16sh14x", b"lo", 0x41))


class Machine:
    """How programs of a root are run: in it, or by qemu with its libraries."""

    def __init__(self, root: Path, machine: str) -> None:
        self._emulated = machine != os.uname().machine
        self._root = root
        home = root / "root" if self._emulated else Path("/root")
        self._env = {"HOME": str(home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        self._python = ["qemu-aarch64", "-L", str(root), f"{root}/usr/bin/python{PYTHON}"]

    def install(self, requirement: str, address: str) -> None:
        """Install a package from an index."""
        options = ["install", "--quiet", "--no-cache-dir", "--index-url", address, requirement]
        if self._emulated:   # no process of the root can start another one
            (pip,) = (self._root / "usr" / "share" / "python-wheels").glob("pip-*.whl")
            self.run([*self._python, f"{pip}/pip", *options, "--target", str(self._root / "site")])
        else:
            self.run(["chroot", str(self._root), "python3", "-m", "venv", "/venv"])
            self.run(["chroot", str(self._root), "/venv/bin/pip", *options])

    def gemel(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs gemel with some words."""
        if self._emulated:
            return [*self._python, "-m", "gemel_native", *words]
        return ["chroot", str(self._root), "/venv/bin/gemel", *words]

    def run(self, command: list[str]) -> str:
        """Run a command and return what it printed; its errors go to this process's."""
        done = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, check=True, text=True)
        return done.stdout

    @property
    def env(self) -> dict[str, str]:
        """The environment of the root's programs."""
        if not self._emulated:
            return self._env
        return {**self._env, "PATH": os.environ["PATH"], "PYTHONPATH": str(self._root / "site")}


def fetch_page(machine: Machine) -> int:
    """Return how many bytes of the page `gemel demo` served."""
    command = machine.gemel(["demo", MODEL, "--no-open", "--port", "8099"])
    with subprocess.Popen(command, env=machine.env, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            said = [server.stderr.readline()]
            while said[-1] and "http://" not in said[-1]:
                said.append(server.stderr.readline())
            if not said[-1]:
                raise SystemExit(f"gemel demo ended: {''.join(said)}")
            answers = [urllib.request.urlopen(f"http://127.0.0.1:8099/{name}").read() for name in PAGE]
            return sum(map(len, answers))
        finally:
            server.terminate()


def measure(folder: Path, machine: str, page: bool) -> None:
    """Install and answer in a root without a network; print the times."""
    loopback_up()
    runs = Machine(folder / "debian", machine)
    begun = time.monotonic()
    with served(folder / "index") as address:
        runs.install("gemel[serve]" if page else "gemel", address)
    installed = time.monotonic()
    answer = runs.run(runs.gemel(RUN))
    ended = time.monotonic()
    print(f"installed in {installed - begun:.1f} s, answer in {ended - installed:.1f} s: {answer.strip()[:60]}...")
    here = subprocess.run([sys.executable, "-m", "gemel_native", *RUN], stdout=subprocess.PIPE, check=True, text=True)
    if here.stdout != answer:
        raise SystemExit(f"this machine answers something else: {here.stdout}")
    if page:
        print(f"gemel demo served {fetch_page(runs)} bytes of its page")


def main() -> None:
    """Make the root and the index, then measure in a new network namespace."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--machine", choices=ARCHITECTURES, default="x86_64")
    options.add_argument("--dist", type=Path, default=ROOT / "dist", help="the folder with gemel's wheels (dist)")
    options.add_argument("--page", action="store_true", help="install gemel[serve], and fetch the page")
    options.add_argument("--keep", action="store_true", help="keep the root for the next run")
    options.add_argument("--within", action="store_true", help=argparse.SUPPRESS)   # the new namespace
    given = options.parse_args()
    folder = ROOT / "build" / "root" / given.machine
    if given.within:
        measure(folder, given.machine, given.page)
        return
    debian = folder / "debian"
    try:
        if not debian.is_dir():
            make_root(debian, given.machine)
        for name in ("venv", "site"):
            shutil.rmtree(debian / name, ignore_errors=True)
        shutil.rmtree(folder / "index", ignore_errors=True)
        make_index(folder / "index", given.dist, given.machine, "gemel[serve]" if given.page else "gemel")
        models = debian / "root" / ".cache" / "gemel" / "models"
        shutil.copytree(MODELS / MODEL, models / MODEL, dirs_exist_ok=True)
        words = ["unshare", "--net", sys.executable, __file__, "--within", "--machine", given.machine]
        subprocess.run([*words, *(["--page"] if given.page else [])], check=True)
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
