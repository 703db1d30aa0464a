"""A microphone and a loudspeaker for tests, in the place of the package."""
