"""The console's folds."""
