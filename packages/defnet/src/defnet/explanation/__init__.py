"""Why an image has its score: what each view of it said, how much that counted, and what would change without it."""
