"""The rules of answering: prompts, sentences, templates, memory. Pure."""
