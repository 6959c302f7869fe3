"""One partition per dump; nothing else is partitioned."""

from __future__ import annotations

import dagster as dg

DUMPS = dg.DynamicPartitionsDefinition(name="dumps")
"""Keys are `<source>@<YYYYMMDD>`; `dump_catalog`, the sensor and `tonsai dumps` add them."""

EVERY_DUMP = dg.AllPartitionMapping()
"""An unpartitioned asset reads every dump."""
