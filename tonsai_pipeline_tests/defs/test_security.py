"""Attacks on the web UI and on launch forms: what another page, or whoever fills in a form, must not be able to do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import dagster as dg
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from tonsai_pipeline.catalog.catalog import add_dump
from tonsai_pipeline.defs.graph import build_definitions
from tonsai_pipeline.defs.models.launcher import JobOptions, find_hostfile
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.web_guard import WebGuard
from tonsai_pipeline.errors import DumpError, RecipeError, TrainError
from tonsai_pipeline.recipe import load_recipe
from tonsai_pipeline.storage.job_folder import record_error
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.train.spec import TrainRun

MUTATION = "/graphql?query=mutation%7BsetNuxSeen%7D"


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("open")
    await socket.close()


@pytest.fixture(scope="module")
def web() -> TestClient:
    async def answer(_: object) -> PlainTextResponse:
        return PlainTextResponse("done")

    routes = [
        Route("/graphql", answer, methods=["GET", "POST"]),
        Route("/assets", answer),
        WebSocketRoute("/graphql", _socket),
    ]
    guarded = WebGuard(Starlette(routes=routes), {"localhost", "127.0.0.1", "::1"})
    return TestClient(guarded, base_url="http://127.0.0.1:3000")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", MUTATION, {}),
        ("GET", MUTATION, {"host": "localhost:3000", "referer": "https://evil.example/"}),
        ("POST", "/graphql", {"host": "evil.example:3000"}),
        ("POST", "/graphql", {"host": ""}),
        ("POST", "/graphql", {"host": "127.0.0.1.evil.example"}),
        ("POST", "/graphql", {"host": "localhost@evil.example"}),
        ("POST", "/graphql", {"origin": "https://evil.example"}),
        ("POST", "/graphql", {"origin": "null"}),
        ("POST", "/graphql", {"origin": "http://127.0.0.1:8888"}),
        ("POST", "/graphql", {"sec-fetch-site": "cross-site"}),
        ("POST", "/graphql", {"sec-fetch-site": "same-site"}),
        ("GET", MUTATION, {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
        ("GET", "/assets", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}),
    ],
)
def test_a_page_of_another_site_is_refused(
    web: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = web.request(method, path, headers=headers)
    assert answer.status_code in (403, 405)
    assert answer.text != "done"


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/graphql", {}),  # curl, the GraphQL client
        ("POST", "/graphql", {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}),
        ("POST", "/graphql", {"host": "localhost:8080", "origin": "http://localhost:8080"}),
        ("POST", "/graphql", {"host": "[::1]:3000", "origin": "http://[::1]:3000"}),
        ("GET", "/assets", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}),
        ("GET", "/assets", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
    ],
)
def test_the_ui_and_programs_of_this_machine_get_through(
    web: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    assert web.request(method, path, headers=headers).text == "done"


def test_a_socket_of_another_site_is_refused(web: TestClient) -> None:
    with web.websocket_connect("/graphql", headers={"host": "127.0.0.1:3000"}) as socket:
        assert socket.receive_text() == "open"
    with pytest.raises(WebSocketDisconnect):
        web.websocket_connect(
            "/graphql", headers={"host": "127.0.0.1:3000", "origin": "https://evil.example"}
        ).__enter__()


def test_the_project_s_dagster_yaml_puts_the_guard_before_the_web_server_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the web server of `dagster dev`: it reads the instance, and then builds its application."""
    from dagster_webserver import webserver

    project = Path(__file__).parents[2]
    (tmp_path / "dagster.yaml").write_text((project / "dagster.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    before = webserver.DagsterWebserver.build_middleware
    try:
        for _ in range(2):
            dg.DagsterInstance.from_config(str(tmp_path)).dispose()
        server: Any = SimpleNamespace(_process_context=Mock())
        built = webserver.DagsterWebserver.build_middleware(server)
        assert [one.cls for one in built].count(WebGuard) == 1
        assert built[0].cls is WebGuard
    finally:
        webserver.DagsterWebserver.build_middleware = before


@pytest.mark.parametrize(
    ("options", "config"),
    [
        (RunOptions, {"num_workers": 10**9}),
        (RunOptions, {"num_workers": -1}),
        (RunOptions, {"engine": "ray://evil.example"}),
        (JobOptions, {"num_processes": 10**9}),
        (JobOptions, {"max_retries": 10**9}),
        (JobOptions, {"grace_s": 1e12}),
        (JobOptions, {"grace_s": float("inf")}),
        (JobOptions, {"grace_s": float("nan")}),
        (JobOptions, {"launcher": "/bin/sh"}),
        (JobOptions, {"nodes": "10000"}),
        (JobOptions, {"nodes": "2 --rdzv-endpoint=elsewhere"}),
        (JobOptions, {"hostfile": "/etc/passwd"}),
        (JobOptions, {"hostfile": "../hosts"}),
        (JobOptions, {"hostfile": "hosts\n--module os"}),
        (JobOptions, {"hostfile": "--module"}),
    ],
)
def test_a_launch_form_takes_no_value_beyond_its_bounds(
    options: type[dg.Config], config: dict[str, object]
) -> None:
    options()
    with pytest.raises((ValueError, dg.DagsterInvalidConfigError)):
        options(**config)  # pyright: ignore[reportArgumentType]


def test_a_launch_form_names_no_place() -> None:
    definitions = build_definitions(load_recipe("demo"), Workspace())
    assets = definitions.assets or ()
    job = definitions.resolve_implicit_global_asset_job_def()
    for op, config in (
        ("packed_shards", {"root": "/etc"}),
        ("packed_shards", {"data": "/etc"}),
        ("pretrained_model", {"output_dir": "/etc"}),
        ("pretrained_model", {"env": {"LD_PRELOAD": "/tmp/x.so"}}),
    ):
        with pytest.raises(dg.DagsterInvalidConfigError, match=next(iter(config))):
            dg.validate_run_config(job, {"ops": {f"demo__{op}": {"config": config}}})
    forms = {
        name
        for asset in assets
        if isinstance(asset, dg.AssetsDefinition) and asset.is_executable
        for name in getattr(asset.op.config_schema.config_type, "fields", {})
    }
    assert forms == {*RunOptions.model_fields, *JobOptions.model_fields}


def test_every_number_of_a_launch_form_has_two_bounds() -> None:
    for options in (JobOptions, RunOptions):
        for name, field in options.model_fields.items():
            if field.annotation in (int, float):
                limits = {type(one).__name__ for one in field.metadata}
                assert {"Le"} <= limits, name
                assert limits & {"Ge", "Gt"}, name
            elif field.annotation is str:
                assert field.metadata, name


def test_a_hostfile_is_one_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TONSAI_HOSTFILES", raising=False)
    with pytest.raises(TrainError, match="set TONSAI_HOSTFILES"):
        find_hostfile("hosts")
    folder = tmp_path / "hostfiles"
    folder.mkdir()
    monkeypatch.setenv("TONSAI_HOSTFILES", str(folder))
    (folder / "hosts").write_text("a slots=8\n")
    (tmp_path / "secret").write_text("x")
    (folder / "out").symlink_to(tmp_path / "secret")
    assert find_hostfile("hosts") == folder / "hosts"
    for name in ("out", "none", ".."):
        with pytest.raises(TrainError, match="no such file"):
            find_hostfile(name)


BAD_KEYS = [
    "../../../../x@20260101",
    "x@2026",
    "/etc/passwd@20260101",
    "a/b@20260101",
    "x@20260101\n",
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_partition_that_is_no_dump_key_reaches_no_path(key: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path, "demo")
    for place in (
        lambda: layout.artifact("raw_documents", key, "f" * 64),
        lambda: layout.building("raw_documents", key, "f" * 64),
        lambda: layout.current("raw_documents", key),
    ):
        with pytest.raises(RecipeError, match="write it as <source>@<YYYYMMDD>"):
            place()


def test_a_partition_that_is_no_dump_key_is_refused_and_removed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "a.yaml").write_text("name: a\nsources: [{name: a, lang: eng, path: a.jsonl}]\n")
    recipe = load_recipe(str(tmp_path / "a.yaml"))
    home = tmp_path / "home"
    definitions = build_definitions(recipe, Workspace(root=str(home), data=str(tmp_path)))
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("a_dumps", BAD_KEYS[:2])
        refused = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["a", "raw_documents"])],
            partition_key=BAD_KEYS[0],
            raise_on_error=False,
        )
        assert not refused.success
        assert not home.exists() or not list(home.rglob("*20260101*"))
        assert job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(["a", "dump_catalog"])]
        ).success
        assert instance.get_dynamic_partitions("a_dumps") == ["a@00000000"]


SECRET = "hunter2"


def test_secrets_of_urls_stand_in_no_recipe_no_message_and_no_record(tmp_path: Path) -> None:
    url = f"s3://me:{SECRET}@bucket/a.jsonl"
    (tmp_path / "a.yaml").write_text(f"name: a\nsources: [{{name: a, lang: eng, path: '{url}'}}]\n")
    with pytest.raises(
        RecipeError, match=r"a.yaml:2: sources.0.path: a URL with a password"
    ) as caught:
        load_recipe(str(tmp_path / "a.yaml"))
    assert SECRET not in str(caught.value)
    with pytest.raises(DumpError, match="is not written down") as refused:
        add_dump(
            load_recipe("demo"),
            Layout(tmp_path, "demo"),
            source="khm_news",
            date="20261101",
            files=[url],
        )
    assert SECRET not in str(refused.value)
    signed = f"https://b.example/a.gz?X-Amz-Signature={SECRET}&n=1"
    try:
        int(signed)
    except ValueError as error:
        record_error(tmp_path, error)
    [record] = tmp_path.glob("failure-*.json")
    assert SECRET not in record.read_text()
    assert "n=1" in record.read_text()


def test_run_json_holds_nothing_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "TONSAI_ALERT_URL"):
        monkeypatch.setenv(name, SECRET)
    recipe = load_recipe("demo")
    run = TrainRun(
        model=recipe.model,
        train=recipe.train,
        shards_dir=tmp_path,
        tokenizer_dir=tmp_path,
        output_dir=tmp_path,
        fingerprint="f" * 64,
    )
    assert SECRET not in run.write().read_text()
