"""The terminal: what is shown there, and the signals that come from it."""
