"""Language models: one file per vendor."""
