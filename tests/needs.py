"""What a test of one way of computing needs of torch, and is skipped without."""

import pytest

from lossscape.onednn import has_onednn, has_packing

needs_onednn = pytest.mark.skipif(not has_onednn(), reason="this torch has no oneDNN, or not its product")
needs_packing = pytest.mark.skipif(not has_packing(), reason="this torch has no oneDNN, or no weights in its layout")
