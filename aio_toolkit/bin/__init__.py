"""One thin command for each job: parse, call, print."""
