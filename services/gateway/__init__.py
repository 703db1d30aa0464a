"""Where clients come in: takes HTTP requests, publishes clips and turns, reads sessions, answers."""
