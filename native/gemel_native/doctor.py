"""`gemel doctor`: reports what this machine offers and what is missing. Nothing that it finds is a failure."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from typing import Any

import gemel

from . import plugins
from .machine import machine
from .options import JsonOption
from .output import bytes_text, console, counted, facts, print_json

VARIABLES = ("GEMEL_LIBRARY", "GEMEL_ISA", "GEMEL_THREADS", "GEMEL_CACHE", "HF_ENDPOINT")
SMALL_PAGES = "decoding is slower; as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
OPTIONAL = {
    "numpy": "logits, hidden states and embeddings are memoryviews instead of arrays; pip install numpy",
    "pip": "models that come in a Python package can't be downloaded; python -m ensurepip",
    "jinja2": "chat templates can't be rendered, so only --raw works; pip install jinja2",
}


def doctor(*, json: JsonOption = False) -> None:
    """Report on this machine, its instruction sets, the library, the cache, and what is missing."""
    report = examine()
    if json:
        print_json(report)
    else:
        show(report)


def examine() -> dict[str, Any]:
    """Return the report."""
    missing: list[dict[str, str]] = []
    library = _tried("the compiled core", library_facts, missing)
    settings = _tried("valid settings", settings_in_use, missing) if library else {}
    for name, effect in OPTIONAL.items():
        if importlib.util.find_spec(name) is None:
            missing.append({"what": name, "effect": effect})
    cache = cache_facts()
    if not cache["models"]:
        advice = "gemel pull smollm2-135m-instruct fetches one (98 MB)"
        missing.append({"what": "a model in the cache", "effect": advice})
    if library and not any(usable for isa, usable in library["isas"].items() if isa != "scalar"):
        missing.append({"what": "SIMD kernels for this CPU", "effect": "scalar ones run instead: many times slower"})
    on = machine()
    if on["large_pages"] == "never":
        missing.append({"what": "large pages", "effect": SMALL_PAGES})
    return {
        "machine": on,
        "library": library,
        "settings": settings,
        "cache": cache,
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "commands": {name: plugins.source_of(point) for name, point in plugins.found().items()},
        "missing": missing,
    }


def library_facts() -> dict[str, Any]:
    """Return facts about the compiled core."""
    return {
        "path": gemel.library_path(), "version": gemel.__version__, "abi": gemel.ABI, "isas": gemel.isas(),
    }   # fmt: skip


def settings_in_use() -> dict[str, Any]:
    """Return the instruction set and threads of a command without options. ArgumentError for an invalid variable."""
    info = gemel.default_info()
    limits = [{"threads": limit.threads, "why": limit.why} for limit in gemel.thread_limits()]
    why = "GEMEL_THREADS" if os.environ.get("GEMEL_THREADS") else limits[0]["why"]
    return {"isa": info.isa, "threads": info.threads, "why": why, "limits": limits}


def cache_facts() -> dict[str, Any]:
    """Return the cache's folder, its models and the free space on its disk."""
    folder = gemel.cache.folder()
    nearest = next((parent for parent in (folder, *folder.parents) if parent.is_dir()), None)
    models = [{"name": one.name, "path": str(one.path), "size": one.size} for one in gemel.cache.list()]
    return {
        "folder": str(folder),
        "models": models,
        "size": sum(one["size"] for one in models if isinstance(one["size"], int)),
        "free": shutil.disk_usage(nearest).free if nearest else None,
    }


def show(report: dict[str, Any]) -> None:
    """Print the report as a table."""
    on, library, cache = report["machine"], report["library"], report["cache"]
    memory = "" if on["memory_mb"] is None else f", {on['memory_mb']} MB of memory"
    pairs = {
        "processor": on["cpu"],
        "machine": f"{counted(on['cores'], 'core')}, {on['logical_cpus']} logical CPUs{memory}, {on['system']}",
        "python": on["python"],
    }
    if library:
        isas = ", ".join(isa if usable else f"{isa} (not on this CPU)" for isa, usable in library["isas"].items())
        pairs["library"] = f"{library['path']}, version {library['version']}, ABI {library['abi']}"
        pairs["instruction sets"] = isas
    if report["settings"]:
        used = report["settings"]
        pairs["in use"] = f"{used['isa']}, {counted(used['threads'], 'thread')}: {used['why']}"
    free = "" if cache["free"] is None else f", {bytes_text(cache['free'])} free"
    models = counted(len(cache["models"]), "model")
    pairs["cache"] = f"{cache['folder']}: {models}, {bytes_text(cache['size'])}{free}"
    pairs |= {f"  {one['name']}": bytes_text(one["size"]) for one in cache["models"]}
    pairs |= report["environment"]
    pairs |= {f"gemel {name}": f"provided by {source}" for name, source in report["commands"].items()}
    pairs |= {f"missing: {one['what']}": one["effect"] for one in report["missing"]}
    if not report["missing"]:
        pairs["missing"] = "nothing"
    console().print(facts(pairs))


def _tried(
    what: str, look: Callable[[], dict[str, Any]], missing: list[dict[str, str]]
) -> dict[str, Any]:
    """Return what `look` finds; add an error to what is missing."""
    try:
        return look()
    except gemel.GemelError as error:
        missing.append({"what": what, "effect": str(error)})
        return {}
