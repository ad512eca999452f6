"""How models write reasoning and calls: a template tells the dialect, a grammar keeps it, a parser reads it."""
