"""What asr does with its orders: clips are recognised, calls are attended."""
