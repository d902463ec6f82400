"""Render a run: `tables` and `charts` build what `terminal`, `page` and `markdown` show."""
