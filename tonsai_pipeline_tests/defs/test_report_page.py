"""The page of an artifact: everything at once, and nothing that a dump wrote can act."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.report_page import page_url, read_page
from tonsai_pipeline.defs.results import check, materialized, table
from tonsai_pipeline.defs.web_guard import WebGuard
from tonsai_pipeline.storage.manifest import fingerprint
from tonsai_pipeline.storage.store import Artifact, Store

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> [a](javascript:alert(3)) ![b](http://evil.example/x.png)"


@pytest.fixture
def artifact(store: Store) -> Artifact:
    def make(folder: Path) -> dict[str, object]:
        pq.write_table(pa.table({"doc_id": ["a"], "score": [0.5]}), folder / "part-00000.parquet")
        return {"num_documents": 9, "num_kept": 7, "dropped_frac": 0.0213}

    key = fingerprint("scored", "news@20261101", "1", {}, {})
    return store.materialize(
        "scored", "news@20261101", key, make, stage_version="1", settings={}, inputs={}
    )


def test_it_shows_pictures_tables_numbers_and_checks_and_text_stays_text(
    artifact: Artifact, store: Store
) -> None:
    result = materialized(
        artifact,
        metadata={
            "drops": bar_chart({"too short": 2}, title="Dropped", unit="documents"),
            "to_read": dg.MetadataValue.md(table(["document"], [[HOSTILE]])),
        },
        checks=[check("none_lost", False, HOSTILE)],
    )
    metadata = result.metadata or {}
    assert metadata["page"] == dg.MetadataValue.url(page_url(artifact.place))
    assert metadata["dagster/row_count"] == 7
    page = read_page(page_url(artifact.place).removeprefix("/tonsai/pages/"), store.layout.root)
    assert page is not None
    said = page.decode()
    assert 'src="data:image/png;base64,' in said
    assert "2.13 %" in said
    assert '<td class="bad">failed</td>' in said
    assert "<script>" not in said
    assert "<img src=x" not in said
    assert 'href="javascript' not in said


def test_it_is_handed_out_by_its_name_alone_and_may_load_nothing(
    artifact: Artifact, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialized(artifact)
    root = store.layout.root
    (root / "pages" / "secret.html").write_text("secret")
    monkeypatch.setenv("TONSAI_HOME", str(root))
    web = TestClient(WebGuard(Starlette(), {"localhost"}), base_url="http://localhost:3000")
    answer = web.get(page_url(artifact.place))
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for place in (
        "secret.html",
        "../secret.html",
        "a/all/%2e%2e%2fsecret.html",
        "a/all/" + "0" * 16 + ".html",
    ):
        assert web.get(f"/tonsai/pages/{place}").status_code == 404
