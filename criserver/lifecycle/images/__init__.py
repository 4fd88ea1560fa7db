"""Images: how they come, stay, are checked against the disk, and go."""
