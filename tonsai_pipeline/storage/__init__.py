"""How bytes lie on disk: layout, manifests, document parts, token shards, raw dump formats."""
