"""One architecture a file. Architectures do not import each other."""
