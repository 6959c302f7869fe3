"""Keep-lists of deduplication -> kept_documents: without documents that are mostly lines of many others."""
