"""One real `dagster dev`: a person's first click in a browser, then its switches with the code server killed."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline_tests.daemon import WAIT_S, Daemon, documents

FIRST, SECOND = "news@20261101", "news@20261102"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """An instance that has run nothing yet, with a dump in its inbox."""
    folder = Path(tempfile.mkdtemp(prefix="tonsai-daemon-"))
    daemon = Daemon(folder, module="tonsai_pipeline_tests.quick_definitions")
    try:
        daemon.drop(FIRST, documents(20, 1))
        daemon.start()
        yield daemon
    finally:
        daemon.kill("")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def page(browser: Any) -> Any:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(WAIT_S * 1000)
    return page


@pytest.mark.slow
def test_one_click_on_an_empty_instance_makes_the_corpus_and_its_page_shows_its_picture(
    page: Any, daemon: Daemon
) -> None:
    page.goto(f"{daemon.address}/locations/tonsai_pipeline/jobs/r__build_corpus")
    page.get_by_role("button", name="Materialize all").click()
    # Dagster asks because no dump is in yet; the job makes them on the way.
    with page.expect_response(_is_launch) as answer:
        page.get_by_role("button", name="Confirm").click()
    assert answer.value.json()["data"]["launchPipelineExecution"]["run"], answer.value.text()

    page.goto(daemon.address + _page_of(page, f"{daemon.address}/assets/r/packed_shards"))
    picture = page.locator("img").first
    picture.wait_for(state="visible")
    assert picture.evaluate("one => one.complete && one.naturalWidth") > 300
    assert page.locator("td.ok").count() >= 2
    assert page.locator("td.bad").count() == 0

    page.goto(f"{daemon.address}/assets/r/scored_documents")
    page.get_by_role("link", name="docs/quality.md").wait_for()
    page.get_by_text("group_size").first.wait_for()  # a column, known before any run
    page.goto(f"{daemon.address}/tonsai/docs/quality.md")
    assert page.locator("h1").first.inner_text()


@pytest.mark.slow
def test_a_dump_comes_in_once_and_shards_follow_though_the_code_server_is_killed(
    daemon: Daemon,
) -> None:
    before = len(daemon.runs())
    daemon.drop(SECOND, documents(20, 2))
    daemon.switch_on("new_dumps", "follow_dumps")
    daemon.wait(lambda: len(daemon.runs()) > before, "a run")
    assert daemon.kill("api grpc"), "the code server was there"
    daemon.wait(lambda: daemon.corpus_documents() == 40, "shards")
    daemon.wait(daemon.is_idle, "the end of the last run")
    # The first one came in by the click, where there is a browser.
    assert daemon.made() == {FIRST: 1, SECOND: 1}
    assert daemon.documents_made() == 40
    daemon.stop()
    assert daemon.processes() == []


def _is_launch(response: Any) -> bool:
    return "LaunchPipelineExecution" in (response.request.post_data or "")


def _page_of(page: Any, asset: str) -> str:
    """Wait until an asset links the page of its result."""
    link = page.locator("a[href^='/tonsai/pages/']").first
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        page.goto(asset)
        page.get_by_text("Latest materialization").wait_for()
        page.wait_for_timeout(2000)
        if link.count():
            return link.get_attribute("href")
    raise AssertionError(f"{asset}: no page in {WAIT_S:g} s; {page.locator('body').inner_text()}")
