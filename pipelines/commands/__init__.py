"""What the subcommands of `pipelines` do, one module each."""
