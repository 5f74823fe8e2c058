"""A page to look through scored photographs: one HTML file that needs no network and no server."""
