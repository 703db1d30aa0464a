"""What is promised against strangers, put to the test."""
