"""The documents: what in them is generated, that their commands and settings are real, and how they are seen."""
