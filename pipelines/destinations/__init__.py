"""One module per API: its settings, rows -> upserts, upserts -> requests, answers -> outcomes, read-back, removal.

The rest is shared: `columns` (a frame as Python lists), `formats`, `templates` and `rules` (what a row says),
`building` (rows -> upserts, conserving rows), `base` (the fields of every sync), `answers` (an exchange -> a verdict)
and `accounts` (settings from the environment). A new API is one module or package here: a `SyncSpec`, its `Settings`
and a `Destination`.
"""
