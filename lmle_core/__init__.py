"""The method and its data: usable from a notebook, without any orchestration engine."""
