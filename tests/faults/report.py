"""The table in docs/RELIABILITY.md, between its markers."""

BEGIN, END = "<!-- made by tests/faults/run --all --table -->", "<!-- end of what is made -->"


def table(cells, outcome):
    lines, notes, group = [], [], None
    for cell in cells:
        if cell.group != group:
            group = cell.group
            lines += ["", f"### {group}", "", "| fault | at | what must hold | held |", "|---|---|---|---|"]
        if outcome[cell.name]:
            held = "yes"
        elif cell.cannot:
            if cell.cannot not in notes:
                notes.append(cell.cannot)
            held = f"no ({notes.index(cell.cannot) + 1})"
        else:
            held = "**no**"
        lines.append(f"| {cell.what} | {cell.moment} | {cell.holds} | {held} |")
    if notes:
        lines += ["", "Why some cannot hold:", ""]
        lines += [f"{i}. {note[0].upper()}{note[1:]}." for i, note in enumerate(notes, 1)]
    held = sum(outcome[cell.name] for cell in cells)
    return [f"{held} of {len(cells)} cells held.", *lines, ""]


def write(path, cells, outcome):
    before, rest = path.read_text().split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(before + BEGIN + "\n\n" + "\n".join(table(cells, outcome)) + "\n" + END + after)
