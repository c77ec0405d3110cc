"""One file an algorithm: Config, Policy and Algorithm together. Torch is loaded by the files that use it."""
