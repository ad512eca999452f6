"""Tools that a model may call: given as functions or as schemas, called with values of JSON."""
