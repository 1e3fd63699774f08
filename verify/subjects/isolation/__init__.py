"""Where a subject runs: in this process, in a worker process, or as a program."""
