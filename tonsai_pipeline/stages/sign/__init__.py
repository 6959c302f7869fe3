"""normalized_documents -> minhash_signatures: an exact key and a MinHash signature a document."""
