"""Text without a model's weights: ids as the core takes them, stop strings, chat templates and their sandbox."""
