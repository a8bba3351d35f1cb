"""The certificate of a result: what was checked of it, so that a figure can be defended."""
