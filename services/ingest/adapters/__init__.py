"""Where the frames of a room come from: one file per source."""
