"""How a deployment does: its status on one screen, the same as an asset and as a message, and alerts on changes.

`status` says what red, yellow and green mean. `due` knows which partition is expected when, `dagster_facts` asks
Dagster's instance, `judging` turns facts into problems, `screen` puts them together: everything here asks it.
`rendering` shows the screen, `spec` is the YAML, `channels` send, `alerts` and `assets` are Dagster's face.
"""
