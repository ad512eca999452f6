"""Where a model's bytes come from: short names, files, downloads, the cache, and the order of pieces."""
