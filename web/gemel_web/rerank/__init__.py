"""Reranking, as Jina's, Cohere's and llama.cpp's servers answer it."""
