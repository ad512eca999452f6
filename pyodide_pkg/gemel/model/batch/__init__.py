"""Many generations of one model in one pass per step. batch.py drives; request.py is one of them."""
