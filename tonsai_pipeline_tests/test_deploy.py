"""deploy/ without Docker: the files load, each command and variable in them is one of the product, one service has ports."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"] == "tonsai"}


def test_every_service_that_another_names_is_there_and_every_volume_is_declared() -> None:
    assert {"postgres", "webserver", "daemon", "code", "objects", "proxy"} == set(SERVICES)
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).is_file()
    workspace = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())
    server = workspace["load_from"][0]["grpc_server"]
    assert server["host"] in SERVICES
    assert f"-p {server['port']} " in SERVICES[server["host"]]["command"]
    caddy = (DEPLOY / "Caddyfile").read_text()
    target, port = re.findall(r"reverse_proxy (\w+):(\d+)", caddy)[0]
    assert f"-p {port} " in SERVICES[target]["command"]


def test_only_the_proxy_can_be_reached_from_outside() -> None:
    assert [name for name, one in SERVICES.items() if "ports" in one] == ["proxy"]
    assert not [name for name, one in SERVICES.items() if "network_mode" in one]


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_commands_are_those_of_the_packages_with_options_that_they_have(name: str) -> None:
    program, *arguments = shlex.split(OURS[name]["command"])
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name=program)
    module = importlib.import_module(entry.module)
    command: click.Command = getattr(module, "cli", None) or module.create_dagster_cli()
    while isinstance(command, click.Group):
        context = click.Context(command)
        found = command.get_command(context, arguments[0]) if arguments else None
        if found is None:
            break
        command, arguments = found, arguments[1:]
    assert command.make_context(program, arguments).params


def test_every_variable_is_asked_for_or_read() -> None:
    asked = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / "example.env").read_text(), re.MULTILINE))
    named = set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text()))
    assert asked == named
    read = (
        "".join(
            path.read_text("utf-8") for path in (DEPLOY.parent / "tonsai_pipeline").rglob("*.py")
        )
        + (DEPLOY / "dagster.yaml").read_text()
    )
    for service in OURS.values():
        for variable in service["environment"]:
            known = variable.startswith("AWS_") or variable == "DAGSTER_DISABLE_TELEMETRY"
            assert known or variable in read, variable
    caddy = set(re.findall(r"\{\$([A-Z_]+)\}", (DEPLOY / "Caddyfile").read_text()))
    assert caddy == set(SERVICES["proxy"]["environment"])


def test_no_secret_stands_in_a_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            is_secret = re.search("PASSWORD|SECRET|KEY|WEBHOOK", name)
            assert not is_secret or value.startswith("${"), name


def test_the_instance_loads_and_differs_from_the_project_s_in_places_only() -> None:
    from dagster._core.instance.config import dagster_instance_config

    config, _ = dagster_instance_config(str(DEPLOY), "dagster.yaml")
    mine = yaml.safe_load((DEPLOY.parent / "dagster.yaml").read_text())
    places = {"storage", "compute_logs", "local_artifact_storage", "concurrency"}
    assert {name: config[name] for name in mine if name not in places} == {
        name: mine[name] for name in mine if name not in places
    }
    for name in ("compute_logs", "local_artifact_storage"):
        assert config[name]["class"] == mine[name]["class"]
        assert config[name]["config"]["base_dir"].startswith("/data/")
