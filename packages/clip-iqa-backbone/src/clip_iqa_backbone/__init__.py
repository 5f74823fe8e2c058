"""From images to crops to the image-text joint probability over quality, scene and distortion."""
