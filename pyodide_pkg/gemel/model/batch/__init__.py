"""Many generations of one model in one pass a step. batch.py drives; request.py is one of them."""
