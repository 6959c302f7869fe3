"""The network: building it, attention that stays inside a document, its loss, and writing text with it."""
