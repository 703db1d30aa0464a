"""The command line: starts the services on this machine and talks to them."""
