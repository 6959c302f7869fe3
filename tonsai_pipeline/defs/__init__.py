"""The asset graph: names, dependencies, checks and metadata. One file = one asset and its checks."""
