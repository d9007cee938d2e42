"""Models of measured dynamic systems: records in, simulations out, and what their residuals and responses say."""
