"""One file per kind of answer: how recordings of any length are answered."""
