"""From an image file to views: opening, where to cut, and the crops with the whole frame."""
