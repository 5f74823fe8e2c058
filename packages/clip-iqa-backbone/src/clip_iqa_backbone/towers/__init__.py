"""Image and text towers: what every one must have, those of open_clip, and the compact one."""
