"""Key points of persons over time: layouts, features, geometry and published files."""
