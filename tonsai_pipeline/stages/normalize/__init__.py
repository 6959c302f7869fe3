"""raw_documents -> normalized_documents: canonical Unicode, language, encoding counts."""
