"""Stage 7: report.html and report.json."""

from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig
from rote.errors import OK
from rote.runs import Run
from rote.stages.inputs import save_settings

if TYPE_CHECKING:
    pass


def report(config: AuditConfig, run: Run) -> int:
    """Stage 7: report.html and report.json."""
    from rote.reporting import report as gather
    from rote.reporting import write_json, write_page

    save_settings(config, run)
    contents = gather(run, config)
    write_page(contents, run.path(runs.REPORT_HTML))
    write_json(contents, run.path(runs.REPORT_JSON))
    run.echo(contents.verdict)  # first: it begins with any doubt of the rendering, which all that follows depends on
    for caveat in contents.caveats:
        run.echo(f"! {caveat}")
    run.echo(f"report: {run.path(runs.REPORT_HTML)}")
    return OK
