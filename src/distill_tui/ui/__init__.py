"""The only Textual in the house."""
