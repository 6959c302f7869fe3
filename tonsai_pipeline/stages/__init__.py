"""The work: one verb a file, (input artifacts, config, building folder) -> files and a Report."""
