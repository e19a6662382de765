"""A results folder as one HTML file: what was claimed and what came of it, to read anywhere and to send to others."""

from experiments.report.page import write_report

__all__ = ["write_report"]
