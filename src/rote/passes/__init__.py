"""The teacher-forced pass: what a model says of each token of a text, given only what stands before it."""
