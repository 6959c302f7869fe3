"""A code server that was killed -> another one, as by a person's Deployment -> Reload.

web server ──asks every second──▶ proxy of the code server ──▶ process with the definitions
     └─ten times no answer: LOCATION_ERROR──▶ ReloadCode ──▶ the proxy starts another one

Of `dagster dev` and `dagster code-server start`, the proxy outlives the process that has the definitions, and leaves it
dead (Dagster 1.13): no sensor ticks and no run starts until somebody reloads. The proxy itself is started again by
`dagster dev`, or by what runs `dagster code-server start`.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

# Dagster exports what its web server subscribes to nowhere.
from dagster._core.remote_representation.grpc_server_state_subscriber import (
    LocationStateChangeEvent,
    LocationStateChangeEventType,
    LocationStateSubscriber,
)


def keep_code_servers(workspace: Any) -> None:
    """Reload each code location of a web server that stops answering.

    Args:
        workspace: Dagster's `WorkspaceProcessContext`.
    """

    def reload(event: LocationStateChangeEvent) -> None:
        if event.event_type is LocationStateChangeEventType.LOCATION_ERROR:
            logging.getLogger("dagster-webserver").warning(
                "the code server of %s is gone; starting another one", event.location_name
            )
            # Loading takes seconds, and the thread that tells of it watches the server meanwhile.
            thread = threading.Thread(
                target=workspace.reload_code_location, args=(event.location_name,), daemon=True
            )
            thread.start()

    workspace.add_state_subscriber(LocationStateSubscriber(reload))
