"""A fake OpenAI-compatible server with exact timing, which logs its own times: what it takes can be told from what OnAir takes."""
