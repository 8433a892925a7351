"""One file a verb of `switchyard`: the first line of its docstring is its help; `app`, a `typer.Typer`, holds its command or commands."""
