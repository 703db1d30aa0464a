"""A service in small: it answers /readyz, leaves its note, and misbehaves as the variable FAKE says."""
