"""Step 7 of a validation and what follows: the signed result, what it stands on, and why it ended so."""
