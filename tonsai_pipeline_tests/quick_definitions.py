"""The definitions, with switches that look every two seconds instead of every thirty: a test of the daemon in a minute."""

# Read at load, and what Dagster finds in this module: the one function that makes the definitions.
from tonsai_pipeline.defs.automation import asked, follow, new_dumps

new_dumps._INTERVAL_S = follow._INTERVAL_S = 2
asked._FIRST_WAIT_S = 2.0

from tonsai_pipeline.definitions import definitions  # noqa: E402, F401
