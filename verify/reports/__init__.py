"""A run as its readers want it: on the terminal, as plain data, JUnit XML, an HTML page."""
