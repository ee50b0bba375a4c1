"""Reports: static pages, tables and charts drawn from stored rows."""

from polylect.report.charts import Dot, curves, dot_plot, legend
from polylect.report.lifecycle import write_lifecycle_page
from polylect.report.page import Html, language_cell, link, section, table, tag, write_page

__all__ = [
    "Dot",
    "Html",
    "curves",
    "dot_plot",
    "language_cell",
    "legend",
    "link",
    "section",
    "table",
    "tag",
    "write_lifecycle_page",
    "write_page",
]
