"""Tables read back."""


def cells_of(text: str) -> list[list[str]]:
    """The cells of the Markdown table in a text, row by row, the header first."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line] for line in lines]
    return [header, *rows]
