"""What a cell of the matrix is."""

import dataclasses
import typing


@dataclasses.dataclass
class Cell:
    group: str   # of the table
    name: str    # for the command line
    what: str    # the fault, in words
    moment: str  # start, run, reload or stop
    holds: str   # in one line: what the cell checks
    run: typing.Callable
    cannot: str = ""  # the reason why it does not hold
