"""An open model and what is made from it: loading, sessions, generation, sampling, chat, embeddings, memory plans."""
