"""What a recipe says of where text lies -> locations that `read_dump_file` takes."""

from __future__ import annotations

from tonsai_pipeline.recipe.sft import InstructionSource
from tonsai_pipeline.recipe.sources import HubDataset, NamedTexts
from tonsai_pipeline.storage.dumps import HubLocation


def hub_location(hub: HubDataset) -> HubLocation:
    """Return the location of a data set on the Hub."""
    return HubLocation(**hub.model_dump())


def location_of(texts: NamedTexts | InstructionSource) -> str:
    """Return the file or the data set that a recipe names."""
    return str(texts.path) if texts.hub is None else hub_location(texts.hub).url
