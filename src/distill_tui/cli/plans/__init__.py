"""A plan of plays as one file: read and checked whole, carried out, driven to its verdict."""
