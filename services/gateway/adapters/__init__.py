"""One file for each vendor: rq in two, its asking and its working end; and the disk."""
