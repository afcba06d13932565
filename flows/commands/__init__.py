"""The commands of `lmle`, by what they are for. Heavy libraries are imported inside those that need them."""
