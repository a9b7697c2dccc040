"""The linkage unit: encodings in, links out. It cannot import the holder's room."""
