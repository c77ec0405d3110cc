"""The commands, one file a group. At its top a file imports only typer, so that ``longgame --help`` stays fast."""
