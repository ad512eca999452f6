"""Keys of a server, from a file: what is in it, what each key may take over time, and who a key belongs to.

A desktop's server has them; a tab has no keys.
"""
