"""Where architectures and weights come from: names, the hub, folders, files of weights."""
