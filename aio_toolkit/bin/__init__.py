"""One thin command per recipe stage: parse the arguments, call the library."""
