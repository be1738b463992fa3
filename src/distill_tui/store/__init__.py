"""The project file: what is kept, and how it changes."""
