"""Assets that turn raw dumps into clean, deduplicated, scored documents."""
