"""The only torch in the house; knows no play, role or project file."""
