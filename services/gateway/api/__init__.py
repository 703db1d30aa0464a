"""What speaks to clients."""
