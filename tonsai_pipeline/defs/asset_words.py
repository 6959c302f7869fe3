"""What the UI shows of an asset that follows from its stage and its recipe: owners, tags, columns and their lineage.

Stage, Recipe ──▶ owners, tags, description with its page of docs/        Stage.table ──▶ column schema, column lineage
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from tonsai_pipeline.defs.handed_out import doc_url
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.pipeline import PIPELINE


def described(description: str, docs: str) -> str:
    """Return a description with a link to the page of docs/ that says more."""
    return f"{description}\n\n[docs/{docs}]({doc_url(docs)})"


def owners(graph: Graph) -> list[str]:
    """Return who answers for the assets of a recipe."""
    return list(graph.recipe.owners)


def tags(graph: Graph, *, each_dump: bool, launched: bool = False) -> dict[str, str]:
    """Return by what assets can be searched for."""
    return {
        "tonsai/recipe": graph.prefix,
        "tonsai/made_for": "each_dump" if each_dump else "corpus",
        "tonsai/runs_as": "launched_job" if launched else "step",
    }


def table_metadata(graph: Graph, asset: str) -> dict[str, Any]:
    """Return the columns of an asset's table and what each is made from; empty for an asset without a table."""
    table = PIPELINE.table_of(asset)
    if table is None:
        return {}
    lineage = PIPELINE.column_lineage(asset)
    columns = [
        dg.TableColumn(
            field.name,
            str(field.type),
            # Dagster's open web UI shows no column lineage.
            description=", ".join(f"{made}.{name}" for made, name in lineage[field.name]) or None,
            constraints=dg.TableColumnConstraints(nullable=field.nullable),
        )
        for field in table.columns
    ]
    origins = {
        column: [dg.TableColumnDep(graph.key(made), name) for made, name in found]
        for column, found in lineage.items()
        if found
    }
    found = {"dagster/column_lineage": dg.TableColumnLineage(origins)} if origins else {}
    return {"dagster/column_schema": dg.TableSchema(columns), **found}
