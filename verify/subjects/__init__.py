"""Subjects: implementations under test, where they run, and the built-in list."""
