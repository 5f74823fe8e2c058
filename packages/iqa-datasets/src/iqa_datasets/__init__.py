"""Image quality data sets in their official layouts as one table: scores, scenes, distortions, sessions."""
