"""A person at an empty instance: one click, a confirmation, and the corpus is there with its picture."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline_tests.lineage.worlds import SECTIONS, World

PROJECT = Path(__file__).parents[2]
#: For a machine that is busy with other tests; each wait ends as soon as what it waits for is there.
PATIENCE_S = 300.0


@pytest.fixture
def page(browser: Any) -> Any:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE_S * 1000)
    return page


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """`dagster dev` in a folder of its own, over dumps that nobody has ingested yet."""
    world = World(tmp_path, LocalEngine(1), name="first")
    world.fill()
    sources = [
        {"name": name, "lang": lang, "path": f"{name}/*.jsonl"}
        for name, lang in world.langs.items()
    ]
    recipe = tmp_path / "data" / "first.yaml"
    recipe.write_text(yaml.safe_dump({"name": "first", "sources": sources, **SECTIONS}))
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copyfile(PROJECT / name, tmp_path / name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    environment |= {
        "TONSAI_RECIPE": str(recipe),
        "TONSAI_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(PROJECT),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    log = tmp_path / "dev.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", "-p", str(port)],
            cwd=tmp_path,
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, log)
        yield url
    finally:
        _end_tree(process)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{url}/server_info", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise AssertionError(log.read_text())


def _end_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill the server with its daemon, code server and runs, which lead groups of their own."""
    import psutil

    children = psutil.Process(process.pid).children(recursive=True)
    for one in (*children, psutil.Process(process.pid)):
        try:
            one.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    process.wait(PATIENCE_S)


@pytest.mark.slow
def test_one_click_on_an_empty_instance_makes_the_corpus_and_its_page_shows_its_picture(
    page: Any, address: str
) -> None:
    page.goto(f"{address}/locations/tonsai_pipeline/jobs/first__build_corpus")
    page.get_by_role("button", name="Materialize all").click()
    # Dagster asks because no dump is in yet; the job makes them on the way.
    with page.expect_response(_is_launch) as answer:
        page.get_by_role("button", name="Confirm").click()
    assert answer.value.json()["data"]["launchPipelineExecution"]["run"], answer.value.text()

    page.goto(address + _page_of(page, f"{address}/assets/first/packed_shards"))
    picture = page.locator("img").first
    picture.wait_for(state="visible")
    assert picture.evaluate("one => one.complete && one.naturalWidth") > 300
    assert page.locator("td.ok").count() >= 2
    assert page.locator("td.bad").count() == 0

    page.goto(f"{address}/assets/first/scored_documents")
    page.get_by_role("link", name="docs/quality.md").wait_for()
    page.get_by_text("group_size").first.wait_for()  # a column, known before any run
    page.goto(f"{address}/tonsai/docs/quality.md")
    assert page.locator("h1").first.inner_text()


def _is_launch(response: Any) -> bool:
    return "LaunchPipelineExecution" in (response.request.post_data or "")


def _page_of(page: Any, asset: str) -> str:
    """Wait until an asset links the page of its result."""
    link = page.locator("a[href^='/tonsai/pages/']").first
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        page.goto(asset)
        page.get_by_text("Latest materialization").wait_for()
        page.wait_for_timeout(3000)
        if link.count():
            return link.get_attribute("href")
    raise AssertionError(
        f"{asset}: no page in {PATIENCE_S:g} s; {page.locator('body').inner_text()}"
    )
