"""The house: what keeps the code small and in its place."""
