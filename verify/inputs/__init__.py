"""What subjects are asked: input families, rows of the user, shrinking."""
