"""Tasks on a user's own data: a folder of JSON lines, described by a YAML file."""
