"""Answers: reads `turns`, asks a language model, publishes the answer sentence by sentence to `speak:<pool>`."""
