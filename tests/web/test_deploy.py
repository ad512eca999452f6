"""The files of docs/deploy: they parse, and name only options, settings, addresses and metrics that exist."""

from __future__ import annotations

import json
import re
import shlex
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import building
import gemel
import gemel_web
import typer
from gemel_native import cli
from gemel_native.serving import config_file, server_table
from gemel_web.http.scopes import TABLE
from gemel_web.observe import Observer
from serving import Asked

DEPLOY = building.ROOT / "docs" / "deploy"


def text_of(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def options_of(command: str) -> set[str]:
    root: Any = typer.main.get_command(cli.app)
    return {name for one in root.get_command(None, command).params for name in one.opts}


def check_command(words: list[str]) -> None:
    """Check a command line of gemel: the command is there, and has each option."""
    command, *rest = words
    assert {word for word in rest if word.startswith("-")} <= options_of(command)


def test_the_unit_runs_reloads_and_stops_a_server_with_known_options() -> None:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str   # type: ignore[assignment, method-assign]
    unit.read_string(text_of("gemel.service"))
    service = unit["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program == "/opt/gemel/bin/gemel"
    check_command(words)
    assert service["ExecReload"].split() == ["/bin/kill", "-HUP", "$MAINPID"]
    hard = ("NoNewPrivileges", "DynamicUser", "PrivateDevices", "PrivateTmp", "MemoryDenyWriteExecute")
    assert all(service[name] == "yes" for name in hard)
    assert service["ProtectSystem"] == "strict"
    assert int(service["TimeoutStopSec"]) > 30   # stop_seconds of gemel.toml
    assert service["Environment"] == "GEMEL_CACHE=/var/cache/gemel"   # CacheDirectory


def test_the_settings_files_are_valid(tmp_path: Path) -> None:
    (cluster,) = re.findall(r"gemel\.toml: \|\n((?:    .*\n)+)", text_of("kubernetes.yaml"))
    for text in (text_of("gemel.toml"), re.sub("^    ", "", cluster, flags=re.MULTILINE)):
        path = tmp_path / "gemel.toml"
        path.write_text(text, encoding="utf-8")
        file = config_file.Settings(path)
        assert file.server.under({"models": None})["models"] == ["smollm2-135m-instruct"]
        assert set(file.server.fields({})) <= set(server_table.KNOWN)


def test_the_table_of_the_server_has_every_option() -> None:
    command: Any = typer.main.get_command(cli.app)
    names = {
        one.name for one in command.get_command(None, "serve").params
        if getattr(one, "rich_help_panel", None) != "The file's metadata"   # a model's table has overrides
    }
    others = {"allowed_host": "allowed_hosts", "allowed_origin": "allowed_origins"}
    assert {others.get(name, name) for name in names} - {"config", "no_draft"} <= set(server_table.KNOWN)


def test_the_image_is_not_root_and_runs_known_options() -> None:
    lines = re.sub(r"\\\n", "", text_of("Dockerfile")).splitlines()
    steps = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    found = {name: words for name, _, words in steps}
    assert [name for name, _, _ in steps if name == "FROM"] == ["FROM"]
    assert found["FROM"].endswith("-slim")
    assert found["USER"].split(":")[0] not in ("root", "0")
    assert json.loads(found["ENTRYPOINT"]) == ["gemel"]
    check_command(json.loads(found["CMD"]))
    assert scope_free("/healthz") in found["HEALTHCHECK"]
    assert (building.ROOT / "docs" / "deploy" / "gemel.toml").is_file()


def scope_free(path: str) -> str:
    assert TABLE[path] is None
    return path


def test_commands_and_probes_of_containers_exist() -> None:
    for line in re.findall(r"(?:command|args): (\[.*\])", text_of("compose.yaml") + text_of("kubernetes.yaml")):
        check_command(json.loads(line))
    probes = set(re.findall(r"path: (/\w+)$", text_of("kubernetes.yaml"), flags=re.MULTILINE)) - {"/tmp"}
    assert probes == {"/healthz", "/readyz"}
    assert all(scope_free(path) for path in probes)
    for name in re.findall(r"\./([\w./-]+):/", text_of("compose.yaml")):
        assert (DEPLOY / name).exists() or name == "keys"
    for name in ("compose.yaml", "kubernetes.yaml", "prometheus.yml", "grafana/datasource.yaml"):
        assert "\t" not in text_of(name)


def names_of(dashboard: Any) -> set[str]:  # noqa: ANN401
    """Return the metrics that a dashboard of Grafana asks for."""
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [one["query"]["query"] for one in dashboard["templating"]["list"]]
    return set(re.findall(r"gemel:\w+", " ".join(asked)))


def test_the_dashboard_asks_for_metrics_that_exist(model: gemel.Model) -> None:
    dashboard = json.loads(text_of("grafana/gemel.json"))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) >= 10
    wanted = names_of(dashboard)
    assert "gemel:time_to_first_token_seconds_bucket" in wanted
    with Asked({"tiny": gemel_web.ServedModel(model)}, observer=Observer()) as app:
        app.good("/v1/completions", model="tiny", prompt="a", max_tokens=2)
        text = app.get("/metrics").text
    samples = set(re.findall(r"^(gemel:\w+)", text, flags=re.MULTILINE))
    types = re.findall(r"^# TYPE (gemel:\w+) (\w+)", text, flags=re.MULTILINE)
    assert wanted <= samples | {name for name, _ in types}, sorted(wanted - samples)
    labels = set(re.findall(r"by \((\w+)\)", json.dumps(dashboard))) - {"le"}
    assert all(f"{label}=" in text for label in labels | {"model_name"})
