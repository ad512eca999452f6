"""What only a browser tab has: the threaded engine, its workers, fetching, the browser's cache, a File as a model."""
