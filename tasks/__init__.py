"""One module a stage: cache key, Dask, tracking around one function of `lmle_core`."""
