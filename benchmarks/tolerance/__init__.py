"""Pictures to a stated error: exact surfaces against those predicted from a part of their points."""
