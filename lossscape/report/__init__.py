"""The report: it reads result files, never computes losses, and never imports torch."""

from lossscape.report.page import write_report

__all__ = ["write_report"]
