"""The rules of conversations at Tavus."""
