"""The fusion methods, one module for each family, all behind `FusionMethod`."""
