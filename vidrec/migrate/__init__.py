"""Configurations of other codebases in terms of vidrec's."""
