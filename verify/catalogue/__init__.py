"""The catalogue as a list: every paper, what of it runs here, and what breaks first."""
