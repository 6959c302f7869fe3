"""A person with a browser: an empty instance, one click, a corpus, its page with the pictures on it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose

PROJECT = Path(__file__).parents[2]
RECIPE = """
name: clicks
sources:
  - {name: khm, lang: khm, path: khm.txt, text_layout: line}
  - {name: eng, lang: eng, path: eng.txt, text_layout: line}
mixture: {languages: {khm: 0.5, eng: 0.5}, validation: {frac: 0.2}}
tokenizer: {vocab_size: 600, compare_gpt2: false}
packing: {seq_len: 64}
"""


def find_browser() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if (path := shutil.which(name)) is not None:
            return path
    pytest.skip("no Chromium on the path: install one to run the test that clicks")


@pytest.fixture
def ui(tmp_path: Path) -> Iterator[str]:
    """`dagster dev` with the project's settings in an empty folder, as the README starts it."""
    find_browser()
    for name, write in (("khm", khmer_prose), ("eng", english_prose)):
        (tmp_path / f"{name}.txt").write_text(
            "\n".join(write(8, n).replace("\n", " ") for n in range(40))
        )
    (tmp_path / "clicks.yaml").write_text(RECIPE)
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(PROJECT / name, tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    env |= {
        "TONSAI_RECIPE": str(tmp_path / "clicks.yaml"),
        "TONSAI_HOME": str(tmp_path / "home"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    with (tmp_path / "dev.log").open("w") as log:
        dagster = Path(sys.executable).with_name("dagster")
        process = subprocess.Popen(
            [dagster, "dev", "-w", "workspace.yaml", "-p", str(port)],
            cwd=tmp_path,
            env=env,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # A shell without a terminal starts its children deaf to Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )
        try:
            wait_for(lambda: is_up(f"http://127.0.0.1:{port}/server_info"), 240)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait_for(is_true: object, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not is_true():  # pyright: ignore[reportCallIssue]
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.5)


@pytest.mark.slow
def test_one_click_on_an_empty_instance_makes_a_corpus_whose_pictures_show(
    ui: str, tmp_path: Path
) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as browsers:
        chromium = browsers.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(120_000)
        page.goto(f"{ui}/locations/tonsai_pipeline/jobs/clicks__build_corpus")
        page.wait_for_load_state("networkidle")
        page.get_by_role("button", name="Materialize all").click()
        page.get_by_text("Launched run").first.wait_for()
        shards = tmp_path / "home" / "current" / "clicks" / "packed_shards" / "all.json"
        wait_for(shards.is_file, 240)
        page.goto(f"{ui}/assets/clicks/packed_shards?view=events")
        link = page.locator("a[href*='/tonsai/pages/packed_shards/']").first
        link.wait_for()
        with page.context.expect_page() as opened:
            link.click()
        shown = opened.value
        shown.locator("img").first.wait_for()
        widths = shown.eval_on_selector_all("img", "found => found.map(one => one.naturalWidth)")
        assert widths
        assert min(widths) > 200
        assert shown.locator("td.ok").count() >= 1
        shown.screenshot(path=str(tmp_path / "page.png"))
        chromium.close()
