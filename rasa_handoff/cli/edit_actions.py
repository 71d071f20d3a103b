"""Edits of the project's actions file: import the package's actions, if the project has an action server."""

import ast
from typing import Final

from rasa_handoff.cli.edit_credentials import NotEditable
from rasa_handoff.cli.text_files import complete_lines

MODULE: Final = "rasa_handoff.actions"
LINE: Final = f"from {MODULE} import *\n"


def imports_actions(source: str) -> bool:
    """Return whether the package's actions are imported. A file that isn't valid Python imports nothing."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False
    return any(isinstance(node, ast.ImportFrom) and node.module == MODULE for node in body)


def edit_actions(source: str, name: str) -> str:
    """Add the import to the source, unless it has it.

    Raises:
        NotEditable: the file isn't Python.
    """
    if imports_actions(source):
        return source
    try:
        body = ast.parse(source).body
    except SyntaxError as problem:
        raise NotEditable(
            f"{name} isn't valid Python (line {problem.lineno}). Mend it and add: {LINE.strip()}"
        ) from problem
    lines = complete_lines(source)
    position, gap = _position(body, len(lines))
    return "".join([*lines[:position], *gap, LINE, *lines[position:]])


def _position(body: list[ast.stmt], length: int) -> tuple[int, list[str]]:
    """Return the line for the import, and a blank line to put before it, if one is needed.

    It comes after the last import at the head of the file, else after its docstring and comments.
    """
    head = 0
    while head < len(body) and _is_head(body[head]):
        head += 1
    if head == 0:
        return (body[0].lineno - 1, []) if body else (length, ["\n"] if length else [])
    last = body[head - 1]
    gap = [] if isinstance(last, ast.Import | ast.ImportFrom) else ["\n"]
    return last.end_lineno or length, gap


def _is_head(node: ast.stmt) -> bool:
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_docstring or isinstance(node, ast.Import | ast.ImportFrom)
