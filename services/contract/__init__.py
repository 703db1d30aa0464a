"""What the services say to each other: messages, keys and failures. Not a service."""
