"""HTML mail: cleaned, cut into blocks, and written as Markdown that is safe to render."""
