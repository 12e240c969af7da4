"""What stage 2 leaves on disk: codes, features and fingerprints, the writer beside the reader."""
