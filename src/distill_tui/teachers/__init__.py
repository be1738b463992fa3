"""Teachers: what they are, how they are asked, what they answered."""
