"""Tasks that need neither network nor files: made of the text that comes with Python packages."""
