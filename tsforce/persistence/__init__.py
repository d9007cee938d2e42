"""Values to files and back: plain trees, arrays, atomic files. Knows no model: classes are named in a closed table."""
