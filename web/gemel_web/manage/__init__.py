"""What manages the models of a running server: loading, unloading, settings. A tab does not have it."""
