"""What the operators' console shows: pure folds from what the brokers say to rows that a page can draw."""
