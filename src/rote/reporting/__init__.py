"""Stage 7 of 7: from a run folder to what a person reads.

`report` gathers what the artifacts say; `write_page` and `write_json` write it down, `terminal.show` prints it, and
`comparison` puts several runs beside each other. Nothing here computes a rate: every figure is an estimate of stage 6.
"""

from rote.reporting.contents import Report, report
from rote.reporting.page import write_json, write_page

__all__ = ["Report", "report", "write_json", "write_page"]
