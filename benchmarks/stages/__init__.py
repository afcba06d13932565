"""One module a stage: what is timed, against which limit and which peers."""
