"""Starting a job as processes of its own, and how each of them begins and ends."""

from tonsai_pipeline.train.launch.launcher import (
    LaunchResult,
    LaunchSpec,
    launch,
    launch_command,
)

__all__ = ["LaunchResult", "LaunchSpec", "launch", "launch_command"]
