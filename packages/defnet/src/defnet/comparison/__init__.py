"""Two folders or tables of the same photographs: what has become better, what worse, and what cannot be told."""
