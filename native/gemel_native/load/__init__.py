"""Load for a server of OpenAI's API: prompts, requests at given times, what they took, figures and a plot."""
