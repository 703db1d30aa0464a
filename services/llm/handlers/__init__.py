"""What llm does with its messages: `answers` answers the turns, `history` knows what was said before, `desk` is what both need."""
