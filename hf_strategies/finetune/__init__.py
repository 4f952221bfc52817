"""What the recipes share, and a folder for what each task has of its own."""
