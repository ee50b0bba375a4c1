"""The tasks: one short file each, and files of JSON lines that a user writes."""
