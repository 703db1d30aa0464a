"""How the puppet stands at which moment: pure."""
