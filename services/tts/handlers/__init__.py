"""What tts does with its messages: `speak` speaks the sentences, `janitor` looks after those that nobody speaks."""
