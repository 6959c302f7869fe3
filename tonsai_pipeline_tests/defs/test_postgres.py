"""The instance on Postgres (extra `postgres`): what Dagster remembers there is what sensors and pages ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from tonsai_pipeline_tests.defs.test_automation import Place
from tonsai_pipeline_tests.postgres import postgres_programs, postgres_server
from tonsai_pipeline_tests.quality.pages import english_prose

DUMP = "news@20261101"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        postgres_programs() is None, reason="no Postgres server here: apt-get install postgresql"
    ),
]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with postgres_server() as url:
        settings = {"storage": {"postgres": {"postgres_url": url}}}
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            yield instance


def test_a_dump_is_asked_for_made_and_told_of_once(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    place = Place(tmp_path, instance)
    place.drop(DUMP, english_prose(8, 1))
    assert place.wanted() == [DUMP]
    assert place.ingest(DUMP)
    assert len(place.told("minhash_signatures", DUMP)) == 1
    assert instance.get_dynamic_partitions("r_dumps") == [DUMP]
