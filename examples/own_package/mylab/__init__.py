"""Parts of one's own for vidrec."""
