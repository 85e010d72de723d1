"""The shortest prompts that were found, in the terminal."""

from rich.text import Text

from rote import runs
from rote.records import Compression, Estimate, Example
from rote.reporting.figures import figure, number
from rote.reporting.terminal import figure_text, open_console, open_table
from rote.runs import Run


def print_compressions(run: Run) -> None:
    """One row for each text: its length, the shortest prompt, the ratio beside that of zlib; then the rates."""
    splits = {example.id: example.split for example in run.read(runs.EXAMPLES, Example)}
    console = open_console()
    table = open_table(["Record", "Whose", "Text", "Prompt", "Ratio", "zlib"])
    for item in run.read(runs.COMPRESSIONS, Compression):
        prompt, ratio = "–", "not over 1"
        if item.prompt_tokens is not None:
            prompt = f"{item.prompt_tokens} tokens"
            ratio = number(item.target_tokens / item.prompt_tokens) if item.prompt_tokens else "∞"
        cells = (f"{item.model}, {splits[item.example_id]}", f"{item.target_tokens} tokens", prompt, ratio)
        table.add_row(item.example_id, *cells, number(item.zlib_ratio))
    console.print(table)
    rates = open_table(["Comes out of a shorter prompt", "Rate"])
    for estimate in run.read(runs.COMPRESSION_ESTIMATES, Estimate):
        rates.add_row(Text(f"{estimate.model}, {estimate.split}s"), figure_text(figure(estimate)))
    console.print(rates)
    console.print(Text("A lower bound: what the search did not find may still be there.", style="dim"))
