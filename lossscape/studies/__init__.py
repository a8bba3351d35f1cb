"""Studies: what runs many analyses, of several runs or seeds, and compares them."""
